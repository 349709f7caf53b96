import { compareText } from "../lib/text-order.ts";
import type { Service } from "../model/service.ts";

/**
 * From hosts to the services that stand for them: an ExternalName service is an alias of its target, also through other
 * aliases. Circles stand for nothing. Sorted by namespace, then host (Istio: resolveServiceAliases).
 */
export function resolveAliases(aliasServices: readonly Service[]): ReadonlyMap<string, Service["aliases"]> {
  const targets = new Map<string, string>();
  for (const service of aliasServices) {
    if (service.externalName !== undefined) targets.set(service.hostname, service.externalName);
  }
  const aliases = new Map<string, { readonly hostname: string; readonly namespace: string }[]>();
  for (const service of aliasServices) {
    const concrete = followAliases(service.hostname, targets);
    if (concrete === undefined) continue;
    const known = aliases.get(concrete) ?? [];
    known.push({ hostname: service.hostname, namespace: service.namespace });
    aliases.set(concrete, known);
  }
  for (const list of aliases.values()) list.sort((a, b) => compareAliases(a, b));
  return aliases;
}

function followAliases(hostname: string, targets: ReadonlyMap<string, string>): string | undefined {
  const seen = new Set<string>();
  let current = hostname;
  for (let next = targets.get(current); next !== undefined; next = targets.get(current)) {
    if (seen.has(current)) return undefined;
    seen.add(current);
    current = next;
  }
  return current === hostname ? undefined : current;
}

function compareAliases(a: Service["aliases"][number], b: Service["aliases"][number]): number {
  return compareText(`${a.namespace}/${a.hostname}`, `${b.namespace}/${b.hostname}`);
}
