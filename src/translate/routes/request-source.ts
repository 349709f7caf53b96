/**
 * Conditions that are known when a route is built: where the traffic enters and which workload sends it. Rules: Istio
 * route.go sourceMatchHTTP, core/tls.go matchTLS and matchTCP.
 */
import { type Labels, labelsMatch } from "../../api/object.ts";
import type { HttpMatch, L4Match } from "../../api/virtual-service/schema.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";

/** The gateway name of traffic between sidecars. */
const meshGateway = "mesh";
export const meshGateways: ReadonlySet<string> = new Set([meshGateway]);

/** Where requests or connections come from. */
export interface RequestSource {
  /** "mesh", or the gateways ("namespace/name") that share a port. */
  readonly gateways: ReadonlySet<string>;
  /** Port that is addressed; 0 where no single one is (HTTP proxies, sockets). */
  readonly port: number;
  /** Labels of the sending workload, as far as the scope knows them. */
  readonly labels: Labels;
  readonly namespace: string;
}

/** Conditions that decide statically; the same for HTTP, TLS and TCP. */
type StaticMatch = Pick<L4Match, "port" | "sourceLabels" | "sourceNamespace"> & {
  readonly gateways?: readonly string[];
};

/** For HTTP a match that names gateways does not look at the workload: gateways have none of its labels. */
export function matchesHttpSource(match: HttpMatch | undefined, source: RequestSource): boolean {
  if (match === undefined) return true;
  if (!matchesPort(match, source)) return false;
  if ((match.gateways?.length ?? 0) > 0) return matchesGateways(match, source);
  return matchesWorkload(match, source);
}

/** For TLS and TCP all conditions have to hold. */
export function matchesL4Source(match: StaticMatch, source: RequestSource): boolean {
  const isGateway = (match.gateways?.length ?? 0) === 0 || matchesGateways(match, source);
  return isGateway && matchesPort(match, source) && matchesWorkload(match, source);
}

/** True where the rules of a virtual service differ from workload to workload. */
export function readsWorkload(virtualService: ResolvedVirtualService): boolean {
  return (virtualService.spec.http ?? []).some((rule) =>
    (rule.match ?? []).some((match) => match.sourceLabels !== undefined || match.sourceNamespace !== undefined),
  );
}

function matchesPort(match: StaticMatch, source: RequestSource): boolean {
  return (match.port ?? 0) === 0 || match.port === source.port;
}

function matchesGateways(match: StaticMatch, source: RequestSource): boolean {
  return (match.gateways ?? []).some((gateway) => source.gateways.has(gateway));
}

function matchesWorkload(match: StaticMatch, source: RequestSource): boolean {
  if (!labelsMatch(match.sourceLabels ?? {}, source.labels)) return false;
  return !match.sourceNamespace || match.sourceNamespace === source.namespace;
}
