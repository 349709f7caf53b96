/**
 * Keeps what was built last for each (owner, slot). A slot is text that says for whom it was built (port, gateway,
 * capabilities …), so scopes that see an owner differently do not push each other out; the inputs are compared by
 * identity, and a new input replaces what the slot had. Many slots of one owner are kept: one virtual service is built
 * for many ports. memo.ts is for functions of few objects without such a name: it compares all it keeps.
 */
import { isSameList } from "./same-list.ts";

interface Entry<Value> {
  readonly inputs: readonly unknown[];
  readonly value: Value;
}

export type SlotMemo<Value> = (
  place: { readonly owner: object; readonly slot: string },
  inputs: readonly unknown[],
  build: () => Value,
) => Value;

/** A memo of its own. Entries live as long as their owner; of one owner the newest `limit` slots are kept. */
export function createSlotMemo<Value>(limit = 4096): SlotMemo<Value> {
  const owners = new WeakMap<object, Map<string, Entry<Value>>>();
  return ({ owner, slot }, inputs, build) => {
    let slots = owners.get(owner);
    if (slots === undefined) {
      slots = new Map();
      owners.set(owner, slots);
    }
    const known = slots.get(slot);
    if (known !== undefined && isSameList(known.inputs, inputs)) return known.value;
    const value = build();
    slots.delete(slot);
    slots.set(slot, { inputs, value });
    if (slots.size > limit) dropOldest(slots);
    return value;
  };
}

/** Wraps a pure function of an owner and a text; all results live as long as their owner. */
export function memoByKey<Owner extends object, Value>(
  build: (owner: Owner, key: string) => Value,
): (owner: Owner, key: string) => Value {
  const memo = createSlotMemo<Value>(Number.POSITIVE_INFINITY);
  return (owner, key) => memo({ owner, slot: key }, [], () => build(owner, key));
}

function dropOldest(slots: Map<string, unknown>): void {
  const oldest = slots.keys().next();
  if (oldest.done !== true) slots.delete(oldest.value);
}
