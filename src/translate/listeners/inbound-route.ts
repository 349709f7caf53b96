/** Routes of inbound chains: everything goes to the application (Istio: core/route, BuildDefaultHTTPInboundRoute). */
import { bool, duration, u32 } from "@meltemi/protos";
import type { RetryPolicy, RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import { buildInboundVirtualHostName } from "../names.ts";
import { type FilterFacts, supports } from "../network-filters/filter-facts.ts";
import { buildRetryPolicy } from "../routes/retry-policy.ts";
import type { Capabilities } from "../scope.ts";
import type { InboundTarget } from "./inbound-targets.ts";

// A connection that the application closed while it was idle fails before anything was sent: that is safe to repeat.
const resetRetries: RetryPolicy = { num_retries: u32(2), retry_on: "reset-before-request" };
const never = duration(0);

export function buildInboundRoutes(target: InboundTarget, facts: FilterFacts): RouteConfiguration {
  const retries = findRetries(target, facts);
  const route = {
    name: "default",
    match: { prefix: "/" },
    decorator: { operation: `${target.hostname}:${target.servicePort}/*` },
    route: {
      cluster: target.cluster,
      // Clients have set their timeouts on the outbound side; here none is added.
      timeout: never,
      max_stream_duration: { max_stream_duration: never, grpc_timeout_header_max: never },
      ...(retries === undefined ? {} : { retry_policy: retries }),
    },
  };
  const host = { name: buildInboundVirtualHostName(target.servicePort), domains: ["*"], routes: [route] };
  return { name: target.cluster, virtual_hosts: [host], validate_clusters: bool(false) };
}

/** The mesh's own policy where it has one. gRPC clients retry by themselves. */
function findRetries({ protocol }: InboundTarget, facts: FilterFacts): RetryPolicy | undefined {
  const { defaultInboundHttpRetryPolicy: policy } = facts.mesh;
  if (policy !== undefined)
    return buildRetryPolicy(policy, { capabilities: retryCapabilities(facts), hasConsistentHash: false });
  return protocol === "GRPC" || protocol === "GRPC-Web" ? undefined : resetRetries;
}

function retryCapabilities(facts: FilterFacts): Capabilities {
  const hasPredicates = supports(facts, "envoy.retry_host_predicates.previous_hosts");
  return { istioVersion: undefined, extensions: hasPredicates ? undefined : new Set(), acceptHttp10: false };
}
