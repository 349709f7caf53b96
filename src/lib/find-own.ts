/**
 * The value that a record itself has under a name that somebody wrote. A plain look-up would find "constructor" and the
 * like in every object.
 */
export function findOwn<Value>(record: { readonly [name: string]: Value }, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
