/**
 * Memoization by the identity of inputs. The snapshot shares what did not change, so equal identity means equal input,
 * and a generator that runs again after a change finds the parts that the change did not touch already built. Entries
 * are weak: they live as long as their first input does.
 *
 * This is for functions whose few arguments are objects (indexes, derived facts). Where the same owner is asked in the
 * name of many (each port, namespace or scope), slot-memo.ts keeps one result for each of them.
 */
import { isSameList } from "./same-list.ts";

type Entry = { readonly rest: readonly unknown[]; readonly value: unknown };

/**
 * Wraps a pure function of (`owner`, ...rest) so that it runs once for each combination of identical inputs. `owner`
 * must be an object; `rest` is compared element by element with Object.is. A few combinations are kept for one owner
 * (`keep`, the newest first), because several scopes read the same owner side by side.
 */
export function memoByIdentity<Owner extends object, Rest extends readonly unknown[], Value>(
  build: (owner: Owner, ...rest: Rest) => Value,
  keep = 16,
): (owner: Owner, ...rest: Rest) => Value {
  const entries = new WeakMap<Owner, Entry[]>();
  return (owner, ...rest) => {
    const known = entries.get(owner) ?? [];
    const hit = known.find((entry) => isSameList(entry.rest, rest));
    if (hit !== undefined) return hit.value as Value;
    const value = build(owner, ...rest);
    entries.set(owner, [{ rest, value }, ...known].slice(0, keep));
    return value;
  };
}
