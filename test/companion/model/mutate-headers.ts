import type { HeaderChange } from "./world.ts";

type Headers = Readonly<Record<string, string>>;

export interface HeaderLevel {
  readonly changes: readonly HeaderChange[];
  readonly removed: readonly string[];
}

/** Headers (of `names` alone) after the changes of a route, its virtual host and its table, which come in this order. */
export function changeHeaders(headers: Headers, levels: readonly HeaderLevel[], names: readonly string[]): Headers {
  const changed = new Map(names.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])));
  for (const { changes, removed } of levels) {
    for (const name of removed) changed.delete(name);
    for (const change of changes) applyChange(changed, change);
  }
  return Object.fromEntries(changed);
}

function applyChange(headers: Map<string, string>, { name, value, action }: HeaderChange): void {
  const before = headers.get(name);
  if (action === "ADD_IF_ABSENT" && before !== undefined) return;
  if (action === "OVERWRITE_IF_EXISTS" && before === undefined) return;
  const isAppended = action === "APPEND_IF_EXISTS_OR_ADD" && before !== undefined;
  headers.set(name, isAppended ? `${before}, ${value}` : value);
}
