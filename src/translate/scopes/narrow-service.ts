import type { Service } from "../../model/service.ts";

const narrowed = new WeakMap<Service, Map<string, Service>>();

/**
 * The service with only these ports and aliases: the service itself where nothing is left out, otherwise always the same
 * copy for the same choice. Undefined where no port is left of a service that has some.
 */
export function narrowService(
  service: Service,
  isKept: {
    readonly port: (number: number) => boolean;
    readonly alias: (hostname: string, namespace: string) => boolean;
  },
): Service | undefined {
  const ports = service.ports.filter((port) => isKept.port(port.number));
  if (ports.length === 0 && service.ports.length > 0) return undefined;
  const aliases = service.aliases.filter((alias) => isKept.alias(alias.hostname, alias.namespace));
  if (ports.length === service.ports.length && aliases.length === service.aliases.length) return service;
  const key = JSON.stringify([ports.map((port) => port.number), aliases]);
  const copies = narrowed.get(service) ?? new Map<string, Service>();
  narrowed.set(service, copies);
  const known = copies.get(key);
  if (known !== undefined) return known;
  const copy = { ...service, ports, aliases };
  copies.set(key, copy);
  return copy;
}
