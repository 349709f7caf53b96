/**
 * Keeps what was built last for each (owner, slot). A slot is text that says for whom it was built (port, gateway,
 * capabilities …), so scopes that see an owner differently do not push each other out; the inputs are compared by
 * identity. Unlike lib/memo.ts the number of slots is not small: one virtual service is built for many ports.
 */

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

function dropOldest(slots: Map<string, unknown>): void {
  const oldest = slots.keys().next();
  if (oldest.done !== true) slots.delete(oldest.value);
}

function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, index) => Object.is(value, b[index]));
}
