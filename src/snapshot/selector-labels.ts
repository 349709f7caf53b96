import type { DestinationRule } from "../api/destination-rule/schema.ts";
import type { Kind, MeshObject } from "../api/kinds.ts";
import type { Labels } from "../api/object.ts";
import type { VirtualService } from "../api/virtual-service/schema.ts";
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
]);

/** True for kinds whose objects may select proxies by labels. */
export function mayReadProxyLabels(kind: string): boolean {
  return !kindsWithoutProxySelectors.has(kind);
}

/** The labels that selectors of these objects ask for, as "name=value". */
export function deriveSelectorPairs(objects: Iterable<MeshObject>): SelectorPairs {
  const [outbound, all] = [new Set<string>(), new Set<string>()];
  for (const object of objects) {
    for (const { labels, isOutbound } of listSelectors(object)) {
      for (const [name, value] of Object.entries(labels)) {
        all.add(`${name}=${value}`);
        if (isOutbound) outbound.add(`${name}=${value}`);
      }
    }
  }
  return { outbound, all };
}

/** Only the labels that a selector asks for with this very value; to every selector the rest reads as absent. */
export function filterLabels(labels: Labels, pairs: ReadonlySet<string>): Labels {
  return Object.fromEntries(
    Object.entries(labels)
      .filter(([name, value]) => pairs.has(`${name}=${value}`))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

interface Selector {
  readonly labels: Labels;
  readonly isOutbound: boolean;
}

function listSelectors(object: MeshObject): readonly Selector[] {
  if (!mayReadProxyLabels(object.kind)) return [];
  switch (object.kind) {
    case "VirtualService":
      return listSourceLabels(object).map((labels) => ({ labels, isOutbound: true }));
    case "DestinationRule":
      return [{ labels: selectorOf(object), isOutbound: true }];
    case "Gateway":
      return [{ labels: object.spec.selector ?? {}, isOutbound: false }];
    case "Sidecar":
      // Which Sidecar applies is in the key on its own, so that its labels need not be.
      return [];
    case "PeerAuthentication":
      return [{ labels: object.spec.selector?.matchLabels ?? {}, isOutbound: false }];
    default:
      return [];
  }
}

function selectorOf(rule: DestinationRule): Labels {
  return rule.spec.workloadSelector?.matchLabels ?? {};
}

function listSourceLabels({ spec }: VirtualService): readonly Labels[] {
  const routes = [...(spec.http ?? []), ...(spec.tls ?? []), ...(spec.tcp ?? [])];
  return routes.flatMap((route) => (route.match ?? []).map((match) => match.sourceLabels ?? {}));
}
