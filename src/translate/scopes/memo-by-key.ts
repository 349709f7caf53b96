/**
 * Memoization by the identity of an owner and a text. Unlike memoByIdentity it keeps all texts of an owner, because each
 * namespace of the mesh asks; entries die with their owner.
 */
export function memoByKey<Owner extends object, Value>(
  build: (owner: Owner, key: string) => Value,
): (owner: Owner, key: string) => Value {
  const owners = new WeakMap<Owner, Map<string, Value>>();
  return (owner, key) => {
    const values = owners.get(owner) ?? new Map<string, Value>();
    owners.set(owner, values);
    const known = values.get(key);
    if (known !== undefined || values.has(key)) return known as Value;
    const value = build(owner, key);
    values.set(key, value);
    return value;
  };
}
