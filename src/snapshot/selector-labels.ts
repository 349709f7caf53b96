import type { DestinationRule, PortTrafficPolicy } from "../api/destination-rule/schema.ts";
import type { Kind, MeshObject } from "../api/kinds.ts";
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import type { Labels } from "../api/object.ts";
import type { VirtualService } from "../api/virtual-service/schema.ts";
import { sortEntries } from "../lib/text-order.ts";
import type { SelectorPairs } from "./snapshot.ts";

// Kinds of which no selector is ever held against the labels of a proxy.
const kindsWithoutProxySelectors: ReadonlySet<string> = new Set<Kind>([
  "Service",
  "EndpointSlice",
  "Endpoints",
  "Pod",
  "Node",
  "Namespace",
  "Secret",
  "ConfigMap",
  "ServiceAccount",
  "ServiceEntry",
  "WorkloadEntry",
  "WorkloadGroup",
  // Which of its patches are for a proxy is in the keys on its own, so that its labels need not be.
  "EnvoyFilter",
  // Not translated: as long as nothing depends on them, their labels must not tell scopes apart.
  "AuthorizationPolicy",
  "RequestAuthentication",
  "Telemetry",
  "ProxyConfig",
  "WasmPlugin",
  "TrafficExtension",
]);

/** True for kinds whose objects may select proxies by labels. */
export function mayReadProxyLabels(kind: string): boolean {
  return !kindsWithoutProxySelectors.has(kind);
}

/** The labels that selectors of these objects ask for, as "name=value". */
export function deriveSelectorPairs(objects: Iterable<MeshObject>, mesh: MeshConfig): SelectorPairs {
  const [outbound, all, compared] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const notePriorities = (policy: TrafficPart | undefined): void => {
    // "name" or "name=value"
    const { localityLbSetting, zoneAwareLbSetting } = policy?.loadBalancer ?? {};
    const stated = [localityLbSetting, zoneAwareLbSetting].flatMap((setting) => setting?.failoverPriority ?? []);
    for (const priority of stated) {
      compared.add(priority.split("=", 1)[0] ?? priority);
    }
  };
  const { localityLbSetting, zoneAwareLbSetting } = mesh;
  notePriorities({ loadBalancer: { localityLbSetting, ...(zoneAwareLbSetting && { zoneAwareLbSetting }) } });
  notePriorities(mesh.defaultTrafficPolicy);
  for (const object of objects) {
    if (!mayReadProxyLabels(object.kind)) continue;
    if (object.kind === "DestinationRule") for (const part of listTrafficParts(object)) notePriorities(part);
    for (const { labels, isOutbound } of listSelectors(object)) {
      for (const [name, value] of Object.entries(labels)) {
        all.add(`${name}=${value}`);
        if (isOutbound) outbound.add(`${name}=${value}`);
      }
    }
  }
  return { outbound, all, compared };
}

type TrafficPart = Pick<PortTrafficPolicy, "loadBalancer" | "outlierDetection">;

/** All places of a rule that hold a policy: the rule's own, its ports', its subsets' and their ports'. */
export function listTrafficParts({ spec }: DestinationRule): readonly TrafficPart[] {
  const policies = [spec.trafficPolicy, ...(spec.subsets ?? []).map((subset) => subset.trafficPolicy)];
  return policies.flatMap((policy) => (policy === undefined ? [] : [policy, ...(policy.portLevelSettings ?? [])]));
}

/** Only the labels that a selector asks for with this very value; to every selector the rest reads as absent. */
export function filterLabels(labels: Labels, pairs: ReadonlySet<string>): Labels {
  return Object.fromEntries(
    sortEntries(Object.entries(labels).filter(([name, value]) => pairs.has(`${name}=${value}`))),
  );
}

interface Selector {
  readonly labels: Labels;
  readonly isOutbound: boolean;
}

// Policies that only look at what a workload is called with.
const inboundKinds: ReadonlySet<string> = new Set([
  "PeerAuthentication",
  "RequestAuthentication",
  "AuthorizationPolicy",
]);

function listSelectors(object: MeshObject): readonly Selector[] {
  switch (object.kind) {
    case "VirtualService":
      return listSourceLabels(object).map((labels) => ({ labels, isOutbound: true }));
    case "Gateway":
      return [{ labels: object.spec.selector ?? {}, isOutbound: false }];
    case "Sidecar":
      // Which Sidecar applies is in the key on its own, so that its labels need not be.
      return [];
    default:
      // A kind that is new here must not go unseen: whoever selects by labels does it in one of Istio's forms.
      return [{ labels: readSelector(object.spec), isOutbound: !inboundKinds.has(object.kind) }];
  }
}

function readSelector(spec: object): Labels {
  const { selector, workloadSelector } = spec as {
    readonly selector?: { readonly matchLabels?: Labels };
    readonly workloadSelector?: { readonly matchLabels?: Labels; readonly labels?: Labels };
  };
  return { ...selector?.matchLabels, ...workloadSelector?.matchLabels, ...workloadSelector?.labels };
}

function listSourceLabels({ spec }: VirtualService): readonly Labels[] {
  const routes = [...(spec.http ?? []), ...(spec.tls ?? []), ...(spec.tcp ?? [])];
  return routes.flatMap((route) => (route.match ?? []).map((match) => match.sourceLabels ?? {}));
}
