/** Consistent hashing of a destination rule as a route's hash policy. Rules: Istio route.go hashForHTTPDestination. */
import type { RouteAction_HashPolicy } from "@meltemi/protos/envoy/config/route/v3";
import type { ConsistentHash, TrafficPolicy } from "../../api/destination-rule/schema.ts";
import type { Destination } from "../../api/virtual-service/schema.ts";
import type { MergedDestinationRule } from "../destination-rules.ts";
import { toDuration } from "../durations.ts";

/** Hashing for a service that no virtual service routes to: the port's own setting before the general one. */
export function findServiceHash(rule: MergedDestinationRule | undefined, port: number): ConsistentHash | undefined {
  const policy = rule?.spec.trafficPolicy;
  return findPortHash(policy, port) ?? policy?.loadBalancer?.consistentHash;
}

/**
 * Hashing for a route's destination: the most specific of subset and port, subset, port, rule. Settings of a port count
 * only where the destination names the port.
 */
export function findDestinationHash(
  rule: MergedDestinationRule | undefined,
  destination: Destination,
): ConsistentHash | undefined {
  if (rule === undefined) return undefined;
  const policy = rule.spec.trafficPolicy;
  const subset = rule.spec.subsets?.find((candidate) => candidate.name === (destination.subset ?? ""))?.trafficPolicy;
  const port = destination.port?.number;
  return (
    findPortHash(subset, port) ??
    subset?.loadBalancer?.consistentHash ??
    findPortHash(policy, port) ??
    policy?.loadBalancer?.consistentHash
  );
}

/** The policy of a route; empty where the hash has no key that a route knows. */
export function listHashPolicies(hash: ConsistentHash | undefined): readonly RouteAction_HashPolicy[] {
  if (hash?.httpHeaderName !== undefined) return [{ header: { header_name: hash.httpHeaderName } }];
  if (hash?.httpCookie !== undefined) {
    const { name, path, ttl, attributes = [] } = hash.httpCookie;
    const cookie = {
      name,
      ...(path ? { path } : {}),
      ...(ttl === undefined ? {} : { ttl: toDuration(ttl) }),
      ...(attributes.length === 0 ? {} : { attributes }),
    };
    return [{ cookie }];
  }
  if (hash?.useSourceIp !== undefined) return [{ connection_properties: { source_ip: hash.useSourceIp } }];
  if (hash?.httpQueryParameterName !== undefined) return [{ query_parameter: { name: hash.httpQueryParameterName } }];
  return [];
}

function findPortHash(policy: TrafficPolicy | undefined, port: number | undefined): ConsistentHash | undefined {
  if (port === undefined) return undefined;
  const settings = policy?.portLevelSettings?.find((candidate) => candidate.port?.number === port);
  return settings?.loadBalancer?.consistentHash;
}
