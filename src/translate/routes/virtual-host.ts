/** Virtual hosts and the route of a service that nobody routes. */
import type { Route, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { ConsistentHash } from "../../api/destination-rule/schema.ts";
import { joinHostPort } from "../../lib/host-port.ts";
import type { Service } from "../../model/service.ts";
import { type PartSource, withSources } from "../built.ts";
import { buildOutboundClusterName, buildVirtualHostName } from "../names.ts";
import { listHashPolicies } from "./hash-policy.ts";
import { buildSessionConfig } from "./persistent-session.ts";
import { buildRetryPolicy } from "./retry-policy.ts";
import { buildTimeouts } from "./route-action.ts";
import type { RouteFacts } from "./route-facts.ts";

export interface VirtualHostPlan {
  /** Host as it was written or registered; the name adds the port. */
  readonly hostname: string;
  readonly port: number;
  readonly domains: readonly string[];
  readonly routes: readonly Route[];
  readonly sources: readonly PartSource[];
  /** Gateways that send plain HTTP to HTTPS. */
  readonly requiresTls?: boolean;
  /** How the service keeps sessions: see findPersistentSession. */
  readonly session?: string | undefined;
}

/** A virtual host, named `host:port`, with its provenance. */
export function buildVirtualHost(plan: VirtualHostPlan, facts: RouteFacts): VirtualHost {
  const name = plan.hostname.includes(":")
    ? joinHostPort(plan.hostname, plan.port)
    : buildVirtualHostName(plan.hostname, plan.port);
  const host: VirtualHost = {
    name,
    domains: plan.domains,
    ...(plan.routes.length === 0 ? {} : { routes: plan.routes }),
    ...(plan.requiresTls === true ? { require_tls: "ALL" } : {}),
    ...(facts.includesAttemptCount ? { include_request_attempt_count: true } : {}),
    ...(plan.session === undefined ? {} : { typed_per_filter_config: buildSessionConfig(plan.session) }),
  };
  return withSources(host, plan.sources);
}

/** The route of a service that no virtual service is for (Istio: BuildDefaultHTTPOutboundRoute). */
export function buildDefaultRoute(
  target: { readonly service: Service; readonly port: number; readonly hash: ConsistentHash | undefined },
  facts: RouteFacts,
): Route {
  const { service, port, hash } = target;
  const hashPolicies = listHashPolicies(hash);
  // Retries of this route look for another host even where hosts are picked by a hash, as Istio's do.
  const retryPolicy = buildRetryPolicy(facts.defaultRetries, {
    capabilities: facts.capabilities,
    hasConsistentHash: false,
  });
  const route: Route = {
    name: "default",
    match: { prefix: "/" },
    route: {
      cluster: buildOutboundClusterName(service.hostname, port),
      ...buildTimeouts(undefined),
      ...(retryPolicy === undefined ? {} : { retry_policy: retryPolicy }),
      ...(hashPolicies.length === 0 ? {} : { hash_policy: hashPolicies }),
    },
    decorator: { operation: `${service.hostname}:${port}/*` },
  };
  return withSources(route, [{ object: service.object, path: "" }]);
}
