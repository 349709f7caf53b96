/**
 * The traffic policy that counts for one port and subset of a service (Istio: networking/util GetPortLevelTrafficPolicy
 * and MergeSubsetTrafficPolicy).
 */
import type { DestinationRuleSpec, PortTrafficPolicy, TrafficPolicy } from "../../api/destination-rule/schema.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { Service } from "../../model/service.ts";

export type EffectivePolicy = Omit<TrafficPolicy, "portLevelSettings">;

/**
 * Policy of a port: settings of the port replace those of the destination wholly, what they leave out is default and not
 * inherited.
 */
export function selectPortPolicy(
  policy: TrafficPolicy | undefined,
  port: number,
): { readonly policy: EffectivePolicy | undefined; readonly isOfPort: boolean } {
  const own = policy?.portLevelSettings?.find((setting) => setting.port?.number === port);
  return own === undefined ? { policy, isOfPort: false } : { policy: withoutPort(own), isOfPort: true };
}

/** Which cluster of a rule's host a policy is for. */
export interface PolicyTarget {
  readonly port: number;
  /** "" or an unknown name: the whole service. */
  readonly subset: string;
}

/** Policy of a rule for a port and a subset, as endpoints are chosen by it: what the mesh says has no part in that. */
export function mergeRulePolicy(
  rule: DestinationRuleSpec | undefined,
  port: number,
  subset: string,
): EffectivePolicy | undefined {
  return mergeSubsetPolicy(selectPortPolicy(rule?.trafficPolicy, port).policy, rule, { port, subset });
}

/** As mergeRulePolicy, with what the mesh gives all destinations laid under the rule's own: the policy of a cluster. */
export function mergeClusterPolicy(
  rule: DestinationRuleSpec | undefined,
  target: PolicyTarget,
  mesh: MeshConfig,
): EffectivePolicy | undefined {
  const base = applyMeshPolicy(selectPortPolicy(rule?.trafficPolicy, target.port).policy, mesh);
  return mergeSubsetPolicy(base, rule, target);
}

function mergeSubsetPolicy(
  base: EffectivePolicy | undefined,
  rule: DestinationRuleSpec | undefined,
  { port, subset }: PolicyTarget,
): EffectivePolicy | undefined {
  const own = subset === "" ? undefined : rule?.subsets?.find(({ name }) => name === subset)?.trafficPolicy;
  if (own === undefined) return base;
  const { policy: over = {}, isOfPort } = selectPortPolicy(own, port);
  if (base === undefined) return over;
  // A port's settings in the subset clear the fields that they leave out; a subset's own leave the rule's in place.
  const replaced = isOfPort ? {} : pickReplaceable(base);
  return { ...pickKept(base), ...replaced, ...over };
}

/**
 * True where endpoints that are not ready are sent too: the proxy skips them but knows of them. Not with
 * minHealthPercent, under which Envoy would use all (Istio 1.31: PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS).
 */
export function sendsUnhealthyEndpoints(service: Service, policy: EffectivePolicy | undefined): boolean {
  if (service.trafficDistribution !== undefined && service.trafficDistribution !== "Any") return true;
  return (policy?.outlierDetection?.minHealthPercent ?? 0) <= 0;
}

/** Fills in what the mesh gives all destinations where a rule says nothing of it: limits and outlier detection. */
export function applyMeshPolicy(policy: EffectivePolicy | undefined, mesh: MeshConfig): EffectivePolicy | undefined {
  const { connectionPool, outlierDetection } = mesh.defaultTrafficPolicy ?? {};
  if (connectionPool === undefined && outlierDetection === undefined) return policy;
  return {
    ...(connectionPool === undefined ? {} : { connectionPool }),
    ...(outlierDetection === undefined ? {} : { outlierDetection }),
    ...policy,
  };
}

function withoutPort({ port: _, ...policy }: PortTrafficPolicy): EffectivePolicy {
  return policy;
}

function pickReplaceable({ connectionPool, outlierDetection, loadBalancer, tls }: EffectivePolicy): EffectivePolicy {
  return {
    ...(connectionPool === undefined ? {} : { connectionPool }),
    ...(outlierDetection === undefined ? {} : { outlierDetection }),
    ...(loadBalancer === undefined ? {} : { loadBalancer }),
    ...(tls === undefined ? {} : { tls }),
  };
}

function pickKept({ tunnel, proxyProtocol, retryBudget }: EffectivePolicy): EffectivePolicy {
  return {
    ...(tunnel === undefined ? {} : { tunnel }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(retryBudget === undefined ? {} : { retryBudget }),
  };
}
