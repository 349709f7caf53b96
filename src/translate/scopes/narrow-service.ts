import { createSlotMemo } from "../../lib/slot-memo.ts";
import { isVisibleFrom } from "../../model/export-to.ts";
import type { Service } from "../../model/service.ts";

const narrowed = createSlotMemo<Service>(Number.POSITIVE_INFINITY);

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
  const slot = JSON.stringify([ports.map((port) => port.number), aliases]);
  return narrowed({ owner: service, slot }, [], () => ({ ...service, ports, aliases }));
}

/**
 * Of a service that several entries make up, what a namespace may see: the ports of those that are for it (Istio: each
 * ServiceEntry is a service with its own exportTo). Undefined where that is no port.
 */
export function narrowToAudience(service: Service, namespace: string): Service | undefined {
  const { portExportTo } = service;
  if (portExportTo === undefined) return service;
  const isForNamespace = (port: number): boolean =>
    isVisibleFrom(portExportTo[port] ?? service.exportTo, service.namespace, namespace);
  return narrowService(service, { port: isForNamespace, alias: () => true });
}
