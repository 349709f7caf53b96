/** What a namespace may see of the mesh: services and virtual services by their exportTo. */
import { memoByIdentity } from "../../lib/memo.ts";
import { memoByKey } from "../../lib/slot-memo.ts";
import { isVisibleFrom } from "../../model/export-to.ts";
import type { Service } from "../../model/service.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";
import { narrowToAudience } from "./narrow-service.ts";

const nowhere = "";

/**
 * Services visible from a namespace, one for each hostname, in the order of orderByAudience. All namespaces for which
 * nothing special holds get the very same array.
 */
export const listVisibleServices: (all: readonly Service[], namespace: string) => readonly Service[] = memoByKey(
  (all: readonly Service[], namespace) => chooseVisible(all, namespace, namespace),
);

/** As listVisibleServices for gateways: of several services for a host that of the own namespace is nothing special. */
export const listGatewayServices: (all: readonly Service[], namespace: string) => readonly Service[] = memoByKey(
  (all: readonly Service[], namespace) => chooseVisible(all, namespace, nowhere),
);

/** `home`: the namespace whose services come first. */
function chooseVisible(all: readonly Service[], namespace: string, home: string): readonly Service[] {
  const { everyone, special } = splitServices(all);
  const visible = special.filter((service) => isVisibleFrom(service.exportTo, service.namespace, namespace));
  if (visible.length === 0) return everyone;
  const chosen = chooseByHostname(orderByAudience(visible, namespace), home);
  const members = new Set([...everyone, ...chosen.values()]);
  return orderByAudience(
    all.flatMap((service) => (members.has(service) ? (narrowToAudience(service, namespace) ?? []) : [])),
    namespace,
  );
}

/**
 * Visible services with those that are private to the namespace first, then those exported to it, then those of everyone,
 * each in the order given: the first makes a listener what it is (Istio: push_context.go servicesExportedToNamespace).
 */
export function orderByAudience(services: readonly Service[], namespace: string): readonly Service[] {
  const limited = services.filter(({ exportTo }) => !exportTo.has("*"));
  if (limited.length === 0) return services;
  return [
    ...limited.filter((service) => service.namespace === namespace),
    ...limited.filter((service) => service.namespace !== namespace),
    ...services.filter(({ exportTo }) => exportTo.has("*")),
  ];
}

// Special are those of which the namespace decides: not visible to all, or with a hostname that stands more than once.
const splitServices = memoByIdentity((all: readonly Service[]) => {
  const counts = new Map<string, number>();
  for (const { hostname } of all) counts.set(hostname, (counts.get(hostname) ?? 0) + 1);
  const isPlain = ({ exportTo, portExportTo, hostname }: Service): boolean =>
    exportTo.has("*") && portExportTo === undefined && counts.get(hostname) === 1;
  return { everyone: all.filter(isPlain), special: all.filter((service) => !isPlain(service)) };
});

/**
 * One service for each hostname: that of the namespace itself, else one of Kubernetes, else the oldest (Istio:
 * model/sidecar.go, PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE). `services` are in the order of orderByAudience.
 */
export function chooseByHostname(services: readonly Service[], namespace: string): ReadonlyMap<string, Service> {
  const chosen = new Map<string, Service>();
  for (const service of services) {
    const known = chosen.get(service.hostname);
    if (known === undefined || rank(service, namespace) < rank(known, namespace)) chosen.set(service.hostname, service);
  }
  return chosen;
}

function rank(service: Service, namespace: string): number {
  if (service.namespace === namespace) return 0;
  return service.registry === "Kubernetes" ? 1 : 2;
}

const noServices: ReadonlyMap<string, Service> = new Map();

/** Services by hostname. */
export const indexByHostname: (services: readonly Service[]) => ReadonlyMap<string, Service> = memoByIdentity(
  (services: readonly Service[]) =>
    services.length === 0 ? noServices : new Map(services.map((service) => [service.hostname, service])),
);

/**
 * Virtual services of one gateway that are visible from a namespace; the list itself where all are visible to everyone.
 * Those that are private to the namespace come first, then those exported to it, then those of everyone, each in the
 * order given: of several for a host the first counts (Istio: push_context.go VirtualServicesForGateway).
 */
export const listVisibleRules: (
  rules: readonly ResolvedVirtualService[],
  namespace: string,
) => readonly ResolvedVirtualService[] = memoByKey((rules: readonly ResolvedVirtualService[], namespace) => {
  const { everyone, special } = splitRules(rules);
  const visible = special.filter(({ exportTo, object }) => isVisibleFrom(exportTo, object.meta.namespace, namespace));
  if (visible.length === 0) return everyone;
  const isPrivate = ({ object }: ResolvedVirtualService): boolean => object.meta.namespace === namespace;
  return [...visible.filter(isPrivate), ...visible.filter((rule) => !isPrivate(rule)), ...everyone];
});

const splitRules = memoByIdentity((rules: readonly ResolvedVirtualService[]) => {
  const isForEveryone = ({ exportTo }: ResolvedVirtualService): boolean => exportTo.has("*");
  if (rules.every(isForEveryone)) return { everyone: rules, special: [] };
  return { everyone: rules.filter(isForEveryone), special: rules.filter((rule) => !isForEveryone(rule)) };
});
