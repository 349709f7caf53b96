import { refOf } from "../api/object.ts";
import type { Destination, VirtualService } from "../api/virtual-service/schema.ts";
import { hostIsWithin, isWildcardHost } from "../lib/hostname.ts";
import type { Message } from "../lib/message.ts";
import { isVisibleFrom } from "../model/export-to.ts";
import { listConflicts } from "./delegates.ts";
import { nameKey } from "./object-store.ts";
import { isDelegate, isVisibleDelegate, listDelegateKeys } from "./resolve-virtual-services.ts";
import { resolveRouteHosts } from "./route-hosts.ts";
import type { ResolvedVirtualService, Snapshot } from "./snapshot.ts";

/** What was said of the last snapshot, which mostly holds for the next: endpoints come and go far more often than rules. */
export class ReferenceMessages {
  #readFrom: readonly object[] = [];
  #messages: readonly Message[] = [];

  list(snapshot: Snapshot): readonly Message[] {
    const kinds = (["VirtualService", "DestinationRule", "Gateway"] as const).map((kind) => snapshot.objects(kind));
    // All of these are the same objects for as long as nothing in them changes.
    const sources = [...kinds, snapshot.services, snapshot.mesh];
    if (sources.every((source, index) => source === this.#readFrom[index])) return this.#messages;
    this.#readFrom = sources;
    this.#messages = listReferenceMessages(snapshot);
    return this.#messages;
  }
}

/** What a snapshot says about references that lead nowhere and about rules that shadow each other. Pure. */
function listReferenceMessages(snapshot: Snapshot): readonly Message[] {
  return [
    ...snapshot.virtualServices.flatMap((rule) => [
      ...listGatewayMessages(rule, snapshot),
      ...listMatchedGatewayMessages(rule),
      ...listDelegateMessages(rule.object, snapshot),
      ...listDestinationMessages(rule, snapshot),
    ]),
    ...listSubsetDuplicates(snapshot),
  ];
}

function listGatewayMessages(rule: ResolvedVirtualService, snapshot: Snapshot): readonly Message[] {
  return rule.gateways.flatMap((name, index) => {
    if (name === "mesh" || hasGateway(snapshot, name)) return [];
    return [warning(rule.object, "unknown-gateway", `spec.gateways[${index}]`, `there is no Gateway ${name}`)];
  });
}

/** Matches for gateways that the object is not for: they hold nowhere. */
function listMatchedGatewayMessages(rule: ResolvedVirtualService): readonly Message[] {
  const own = new Set(rule.gateways);
  return (["http", "tls", "tcp"] as const).flatMap((protocol) =>
    (rule.spec[protocol] ?? []).flatMap((route, index) =>
      (route.match ?? []).flatMap(({ gateways = [] }, matchIndex) => {
        const others = gateways.filter((gateway) => !own.has(gateway));
        if (others.length === 0) return [];
        // Routes that came from a delegate stand under other numbers than in the object.
        const isMerged = protocol === "http" && rule.sources.length > 1;
        const path = isMerged ? "spec.http" : `spec.${protocol}[${index}].match[${matchIndex}].gateways`;
        const text = `${others.join(", ")} is not among the gateways of the VirtualService: the match never holds there`;
        return [warning(rule.object, "unbound-gateway", path, text)];
      }),
    ),
  );
}

function hasGateway(snapshot: Snapshot, key: string): boolean {
  const slash = key.indexOf("/");
  return snapshot.findObject("Gateway", key.slice(0, slash), key.slice(slash + 1)) !== undefined;
}

function listDelegateMessages(object: VirtualService, snapshot: Snapshot): readonly Message[] {
  const keys = listDelegateKeys(object);
  if (keys.length === 0) return [];
  const paths = (object.spec.http ?? []).flatMap((route, index) =>
    route.delegate ? [`spec.http[${index}].delegate`] : [],
  );
  return keys.flatMap((key, index) => {
    const slash = key.indexOf("/");
    const delegate = snapshot.findObject("VirtualService", key.slice(0, slash), key.slice(slash + 1));
    const path = paths[index] ?? "spec.http";
    if (delegate === undefined) {
      return [warning(object, "unknown-delegate", path, `there is no VirtualService ${key}; the route is left out`)];
    }
    if (!isDelegate(delegate)) {
      const text = `VirtualService ${key} has hosts, so that it cannot be a delegate`;
      return [warning(object, "delegate-with-hosts", path, text)];
    }
    const { mesh } = snapshot;
    if (!isVisibleDelegate(delegate, object.meta.namespace, mesh.defaultVirtualServiceExportTo)) {
      const text = `VirtualService ${key} is not exported to namespace ${object.meta.namespace}; the route is left out`;
      return [warning(object, "hidden-delegate", path, text)];
    }
    return listConflictMessages({ object, delegate, key, path }, snapshot);
  });
}

interface Delegation {
  readonly object: VirtualService;
  readonly delegate: VirtualService;
  readonly key: string;
  /** Where the object names the delegate. */
  readonly path: string;
}

/** Routes of a delegate that have a match outside of the root's: they are left out, all others stay. */
function listConflictMessages({ object, delegate, key, path }: Delegation, snapshot: Snapshot): readonly Message[] {
  const roots = resolveRouteHosts(object.spec, object.meta.namespace, snapshot.domain).http ?? [];
  const root = roots.find((_, index) => `spec.http[${index}].delegate` === path);
  const own = resolveRouteHosts(delegate.spec, delegate.meta.namespace, snapshot.domain).http ?? [];
  if (root === undefined) return [];
  return listConflicts(root, own).map((index) => {
    const text = `spec.http[${index}] of VirtualService ${key} has a match that is not within those of this route; it is left out`;
    return warning(object, "delegate-conflict", path, text);
  });
}

interface Target {
  readonly destination: Destination;
  readonly path: string;
}

function listDestinationMessages(rule: ResolvedVirtualService, snapshot: Snapshot): readonly Message[] {
  // Routes that came from a delegate stand under other numbers than in the object, so that only the object is named.
  const isMerged = rule.sources.length > 1;
  return listTargets(rule).flatMap(({ destination, path }) => {
    const where = isMerged ? "spec.http" : path;
    const services = snapshot.services.byHostname(destination.host);
    const from = rule.object.meta.namespace;
    if (services.length === 0) {
      if (isWildcardHost(destination.host)) return [];
      return [
        warning(
          rule.object,
          "unknown-host",
          `${where}.destination.host`,
          `no service has the host ${destination.host}`,
        ),
      ];
    }
    if (!services.some((service) => isVisibleFrom(service.exportTo, service.namespace, from))) {
      const text = `${destination.host} is not exported to namespace ${from}`;
      return [warning(rule.object, "hidden-host", `${where}.destination.host`, text)];
    }
    const port = destination.port?.number;
    if (port !== undefined && !services.some((service) => service.ports.some((known) => known.number === port))) {
      const text = `${destination.host} has no port ${port}`;
      return [warning(rule.object, "unknown-port", `${where}.destination.port.number`, text)];
    }
    const subset = destination.subset ?? "";
    if (subset === "" || hasSubset(snapshot, destination.host, subset)) return [];
    const text = `no DestinationRule of ${destination.host} has the subset ${subset}`;
    return [warning(rule.object, "unknown-subset", `${where}.destination.subset`, text)];
  });
}

function listTargets({ spec }: ResolvedVirtualService): readonly Target[] {
  const http = (spec.http ?? []).flatMap((route, index): readonly Target[] => [
    ...(route.route ?? []).map(({ destination }, i) => ({ destination, path: `spec.http[${index}].route[${i}]` })),
    ...(route.mirror === undefined ? [] : [{ destination: route.mirror, path: `spec.http[${index}].mirror` }]),
    ...(route.mirrors ?? []).map(({ destination }, i) => ({ destination, path: `spec.http[${index}].mirrors[${i}]` })),
  ]);
  const tls = (spec.tls ?? []).flatMap((route, index) =>
    (route.route ?? []).map(({ destination }, i) => ({ destination, path: `spec.tls[${index}].route[${i}]` })),
  );
  const tcp = (spec.tcp ?? []).flatMap((route, index) =>
    (route.route ?? []).map(({ destination }, i) => ({ destination, path: `spec.tcp[${index}].route[${i}]` })),
  );
  return [...http, ...tls, ...tcp];
}

function hasSubset(snapshot: Snapshot, host: string, subset: string): boolean {
  const index = subsetsByHost(snapshot);
  if (index.get(host)?.has(subset) === true) return true;
  return [...index].some(([rule, names]) => names.has(subset) && isWildcardHost(rule) && hostIsWithin(host, rule));
}

const subsetIndexes = new WeakMap<object, ReadonlyMap<string, ReadonlySet<string>>>();

function subsetsByHost(snapshot: Snapshot): ReadonlyMap<string, ReadonlySet<string>> {
  const known = subsetIndexes.get(snapshot.destinationRules);
  if (known !== undefined) return known;
  const index = new Map<string, Set<string>>();
  for (const { spec } of snapshot.destinationRules) {
    const names = index.get(spec.host) ?? new Set<string>();
    for (const subset of spec.subsets ?? []) names.add(subset.name);
    index.set(spec.host, names);
  }
  subsetIndexes.set(snapshot.destinationRules, index);
  return index;
}

function listSubsetDuplicates(snapshot: Snapshot): readonly Message[] {
  const owners = new Map<string, string>();
  return snapshot.destinationRules.flatMap((rule) =>
    (rule.spec.subsets ?? []).flatMap((subset, index) => {
      const key = `${rule.meta.namespace}/${rule.spec.host}/${subset.name}/${JSON.stringify(rule.spec.workloadSelector ?? {})}`;
      const owner = owners.get(key);
      owners.set(key, owner ?? nameKey(rule.meta.namespace, rule.meta.name));
      if (owner === undefined) return [];
      const text = `subset ${subset.name} of ${rule.spec.host} is already defined by DestinationRule ${owner}, which wins`;
      return [
        {
          level: "warning" as const,
          code: "duplicate-subset",
          object: refOf(rule),
          path: `spec.subsets[${index}].name`,
          text,
        },
      ];
    }),
  );
}

function warning(object: VirtualService, code: string, path: string, text: string): Message {
  const position = object.position === undefined ? {} : { position: object.position };
  return { level: "warning", code, object: refOf(object), path, text, ...position };
}
