/** Finds virtual hosts by the host that a client named: exactly, by suffix, by prefix, and the one for all others. */
import { ConfigError } from "../lib/config-error.ts";

export interface VirtualHostIndex<Value> {
  find(authority: string): Value | undefined;
}

/** Wildcards of one length, so that one look-up tells whether any of them matches. */
interface WildcardGroup<Value> {
  readonly length: number;
  readonly values: Map<string, Value>;
}

/** Domains may not repeat, in whatever case they are written. Throws ConfigError. */
export function createVirtualHostIndex<Value>(
  hosts: readonly { readonly domains: readonly string[]; readonly value: Value }[],
  { ignoresPort }: { readonly ignoresPort: boolean },
): VirtualHostIndex<Value> {
  const exact = new Map<string, Value>();
  const suffixes = new Map<string, Value>();
  const prefixes = new Map<string, Value>();
  let others: Value | undefined;
  let hasOthers = false;
  for (const [index, { domains, value }] of hosts.entries()) {
    for (const [place, written] of domains.entries()) {
      const path = `virtual_hosts[${index}].domains[${place}]`;
      const domain = written.toLowerCase();
      if (domain === "*") {
        if (hasOthers) throw new ConfigError(path, "only a single wildcard domain is permitted");
        hasOthers = true;
        others = value;
      } else if (domain.startsWith("*")) addOnce(suffixes, domain.slice(1), { value, path });
      else if (domain.endsWith("*")) addOnce(prefixes, domain.slice(0, -1), { value, path });
      else addOnce(exact, domain, { value, path });
    }
  }
  const suffixGroups = groupByLength(suffixes);
  const prefixGroups = groupByLength(prefixes);
  return {
    find(authority) {
      if (exact.size === 0 && suffixGroups.length === 0 && prefixGroups.length === 0) return others;
      const lower = authority.toLowerCase();
      const host = ignoresPort ? withoutPort(lower) : lower;
      const found = exact.get(host);
      if (found !== undefined || host === "") return found ?? others;
      return (
        findWildcard(suffixGroups, host, (length) => host.slice(-length)) ??
        findWildcard(prefixGroups, host, (length) => host.slice(0, length)) ??
        others
      );
    },
  };
}

/** A wildcard stands for one character at least. */
function findWildcard<Value>(
  groups: readonly WildcardGroup<Value>[],
  host: string,
  cut: (length: number) => string,
): Value | undefined {
  for (const { length, values } of groups) {
    const value = host.length > length ? values.get(cut(length)) : undefined;
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The host of an authority. */
export function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(":");
  if (colon < 0 || authority.endsWith("]")) return authority;
  return authority.slice(0, colon);
}

function addOnce<Value>(
  into: Map<string, Value>,
  domain: string,
  { value, path }: { readonly value: Value; readonly path: string },
): void {
  if (domain === "") throw new ConfigError(path, "must not be empty");
  if (into.has(domain)) throw new ConfigError(path, `"${domain}" is the domain of more than one virtual host`);
  into.set(domain, value);
}

/** The longest first. */
function groupByLength<Value>(wildcards: ReadonlyMap<string, Value>): readonly WildcardGroup<Value>[] {
  const groups = new Map<number, WildcardGroup<Value>>();
  for (const [text, value] of wildcards) {
    const group = groups.get(text.length) ?? { length: text.length, values: new Map() };
    group.values.set(text, value);
    groups.set(text.length, group);
  }
  return [...groups.values()].sort((left, right) => right.length - left.length);
}
