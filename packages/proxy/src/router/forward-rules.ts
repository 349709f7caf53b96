/** What is done with requests that a route sends to a cluster. */

import { durationToMs, structToJson } from "@meltemi/protos";
import type { Metadata } from "@meltemi/protos/envoy/config/core/v3";
import type { Route, RouteAction, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import { compileHashPolicies, type HashPolicy } from "./hash-policy.ts";
import { compileHostRewrite, type HostRewrite } from "./host-rewrite.ts";
import { compileInternalRedirect, type InternalRedirectPolicy } from "./internal-redirect.ts";
import { compileMirrorPolicy, type MirrorPolicy } from "./mirror-policy.ts";
import { compilePathRewrite, type PathRewrite } from "./path-rewrite.ts";
import { compileRetryPolicy, noRetryPolicy, type RetryPolicy } from "./retry-policy.ts";
import type { CompiledMatch } from "./route-match.ts";
import type { ForwardPlan, RouteEnv } from "./types.ts";

export type LbMetadata = Readonly<Record<string, unknown>>;

export interface ForwardRules extends ForwardPlan {
  /** The older way to take the time from the header grpc-timeout; 0 for `maxMs` is no bound. */
  readonly grpcTimeout: { readonly maxMs: number; readonly offsetMs: number } | undefined;
  readonly retry: RetryPolicy;
  readonly hedgesOnTimeout: boolean;
  readonly priority: "DEFAULT" | "HIGH";
  readonly hash: HashPolicy | undefined;
  /** For subsets: metadata_match of "envoy.lb". */
  readonly metadataMatch: LbMetadata | undefined;
  readonly rewritePath: PathRewrite | undefined;
  readonly rewriteHost: HostRewrite | undefined;
  /** Of a weighted cluster. */
  readonly weightHost: string | undefined;
  readonly rewritesHostToUpstreams: boolean;
  readonly appendsForwardedHost: boolean;
  readonly mirrors: readonly MirrorPolicy[];
  readonly internalRedirect: InternalRedirectPolicy | undefined;
  readonly notFoundStatus: number;
  /** Most bytes of a request that are kept to be sent again. */
  readonly bufferLimit: number;
  /** A CONNECT ends here: its bytes go to the upstream over a connection of their own. */
  readonly terminatesConnect: boolean;
}

export interface ForwardContext {
  readonly route: Route;
  readonly host: VirtualHost;
  /** Of the route table: used where neither the route nor the virtual host has some. */
  readonly tableMirrors: readonly MirrorPolicy[];
  readonly match: CompiledMatch;
}

const defaultTimeoutMs = 15_000;
/** Envoy's per_connection_buffer_limit_bytes of listeners. */
const defaultBufferLimit = 1024 * 1024;
const notFoundStatuses = { SERVICE_UNAVAILABLE: 503, NOT_FOUND: 404, INTERNAL_SERVER_ERROR: 500 } as const;

/** Throws ConfigError. Early data is a matter of HTTP/3, and policies for it change nothing here. */
export function compileForwardRules(wire: RouteAction, context: ForwardContext, env: RouteEnv): ForwardRules {
  const { route, host, match } = context;
  const limit = (route.per_request_buffer_limit_bytes ?? host.per_request_buffer_limit_bytes)?.value;
  return {
    ...compileTimes(wire),
    ...compileUpgrades(wire),
    retry: chooseRetryPolicy(wire, host),
    hedgesOnTimeout: (wire.hedge_policy ?? host.hedge_policy)?.hedge_on_per_try_timeout === true,
    priority: wire.priority ?? "DEFAULT",
    hash: compileHashPolicies(wire.hash_policy),
    metadataMatch: lbMetadataOf(wire.metadata_match),
    rewritePath: compilePathRewrite(wire, match),
    rewriteHost: compileHostRewrite(wire),
    weightHost: undefined,
    rewritesHostToUpstreams: wire.auto_host_rewrite?.value === true,
    appendsForwardedHost: wire.append_x_forwarded_host === true,
    mirrors: chooseMirrors(wire, context, env),
    internalRedirect: compileInternalRedirect(wire),
    notFoundStatus: notFoundStatuses[wire.cluster_not_found_response_code ?? "SERVICE_UNAVAILABLE"],
    bufferLimit: Math.min(limit ?? defaultBufferLimit, defaultBufferLimit),
  };
}

/** "envoy.lb" of a metadata_match. */
export function lbMetadataOf(metadata: Metadata | undefined): LbMetadata | undefined {
  const wanted = metadata?.filter_metadata?.["envoy.lb"];
  return wanted && structToJson(wanted);
}

type Times = Pick<ForwardRules, "timeoutMs" | "idleTimeoutMs" | "grpcTimeout" | "streamDuration">;

function compileTimes(wire: RouteAction): Times {
  const maxMs = durationToMs(wire.max_grpc_timeout);
  const { max_stream_duration: duration } = wire;
  const isByStreamDuration = duration !== undefined;
  return {
    // With the newer way to bound streams, the older one has no meaning: not even its default.
    timeoutMs: isByStreamDuration ? 0 : (durationToMs(wire.timeout) ?? defaultTimeoutMs),
    idleTimeoutMs: durationToMs(wire.idle_timeout),
    grpcTimeout:
      maxMs === undefined || isByStreamDuration
        ? undefined
        : { maxMs, offsetMs: durationToMs(wire.grpc_timeout_offset) ?? 0 },
    streamDuration: duration && {
      maxMs: durationToMs(duration.max_stream_duration),
      grpcMaxMs: durationToMs(duration.grpc_timeout_header_max),
      grpcOffsetMs: durationToMs(duration.grpc_timeout_header_offset) ?? 0,
    },
  };
}

function compileUpgrades(wire: RouteAction): Pick<ForwardRules, "upgrades" | "terminatesConnect"> {
  const upgrades = new Map<string, boolean>();
  let terminatesConnect = false;
  compileAll(
    "upgrade_configs",
    wire.upgrade_configs,
    ({ upgrade_type: type = "", enabled, connect_config: connect }) => {
      const name = type.toLowerCase();
      if (upgrades.has(name)) throw new ConfigError("upgrade_type", `"${type}" is given twice`);
      upgrades.set(name, wrappedBool(enabled, true));
      if (connect === undefined) return;
      if (name !== "connect") throw new ConfigError("connect_config", `is not possible for the upgrade "${type}"`);
      if (connect.proxy_protocol_config)
        throw new ConfigError("connect_config.proxy_protocol_config", "is not supported");
      if (connect.allow_post === true) throw new ConfigError("connect_config.allow_post", "is not supported");
      terminatesConnect = true;
    },
  );
  return { upgrades, terminatesConnect };
}

/** The route's own policy replaces that of its virtual host as a whole. */
function chooseRetryPolicy(wire: RouteAction, host: VirtualHost): RetryPolicy {
  const { retry_policy: own } = wire;
  if (wire.retry_policy_typed_config ?? host.retry_policy_typed_config) {
    throw new ConfigError("retry_policy_typed_config", "is not supported");
  }
  if (own !== undefined) return within("retry_policy", () => compileRetryPolicy(own));
  return host.retry_policy ? compileRetryPolicy(host.retry_policy) : noRetryPolicy;
}

function chooseMirrors(wire: RouteAction, context: ForwardContext, env: RouteEnv): readonly MirrorPolicy[] {
  const { host, tableMirrors } = context;
  const own = compileAll("request_mirror_policies", wire.request_mirror_policies, (one) =>
    compileMirrorPolicy(one, env),
  );
  if (own.length > 0) return own;
  const ofHost = (host.request_mirror_policies ?? []).map((one) => compileMirrorPolicy(one, env));
  return ofHost.length > 0 ? ofHost : tableMirrors;
}
