/** Route tables as the connection manager and the router filter use them. */
import type { RouteAction, RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { Any } from "@meltemi/protos/google/protobuf";
import type { LogEntry } from "../access-log/types.ts";
import type { Runtime } from "../config/runtime.ts";
import type { Exchange } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { Stats } from "../lib/stats.ts";
import type { ClusterManager } from "../upstream/types.ts";

/** What a route table is compiled with. */
export interface RouteEnv {
  /** At least 0 and less than 1. */
  readonly random: () => number;
  readonly runtime: Runtime;
  readonly clusters: ClusterManager;
  readonly stats: Stats;
  /** Whether unknown clusters are refused where the table does not say: true for static tables. */
  readonly validateClusters?: boolean;
  /** Whether a cluster is there, or on its way; what `clusters` finds where not given. */
  readonly hasCluster?: (name: string) => boolean;
  /**
   * Compiles what a route says for the filter of that name. Undefined where nothing knows the type and it is optional;
   * throws ConfigError otherwise.
   */
  compileFilterConfig(filterName: string, config: Any, isOptional: boolean): unknown;
}

/** A compiled RouteConfiguration. */
export interface RouteTable {
  readonly name: string;
  readonly wire: RouteConfiguration;
  /** The route for a request; undefined where none matches (404 route_not_found). Also decides weights and runtime fractions, once for each call. */
  find(exchange: Exchange): Route | undefined;
}

/** The route that was found for one request, with the cluster that was chosen from its weights. */
export interface Route {
  readonly name: string;
  readonly virtualHost: string;
  /** The virtual host as it came: filters read its older fields there (cors, rate_limits, include_…). */
  readonly virtualHostWire: VirtualHost;
  /** metadata.filter_metadata, as JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly decorator: RouteDecorator | undefined;
  readonly action: RouteKind;
  /**
   * What a route to a cluster does to the head of a reply of the proxy's own, by whichever filter (response_headers_to_add):
   * it begins with this. Undefined where nothing is to be done, and where the route answers itself.
   */
  readonly changeReply?: ((headers: HeaderList, entry: LogEntry) => void) | undefined;
  /** The configuration of a filter by its name in the chain, compiled, the closest level first; undefined where there is none. */
  filterConfig(filterName: string): unknown;
  /** That of every level that has one: the route (or its weighted cluster), the virtual host, the route table. */
  filterConfigs(filterName: string): readonly unknown[];
  /** True where the route switches a filter off. */
  isDisabled(filterName: string): boolean;
}

/** How a route names the spans of its requests. */
export interface RouteDecorator {
  readonly operation: string;
  /** Whether the other side is told, too. */
  readonly propagates: boolean;
}

/** What comes of a request. What "forward" carries is the router's own affair (router/forward-plan.ts). */
export type RouteKind =
  | { readonly kind: "forward"; readonly cluster: string; readonly plan: ForwardPlan; readonly wire: RouteAction }
  | { readonly kind: "redirect" }
  | { readonly kind: "direct_response" }
  | { readonly kind: "non_forwarding" };

/** Made by router/, opaque to everyone else but for what filters need. */
export interface ForwardPlan {
  /** Total time of a request, retries included, in milliseconds; 0 for none. */
  readonly timeoutMs: number;
  /** Upgrades that the route permits or forbids, by lower-case name; the connection manager's count otherwise. */
  readonly upgrades: ReadonlyMap<string, boolean>;
  /** CORS of the virtual host or route in its old place (RouteAction.cors), wire form. */
  readonly idleTimeoutMs: number | undefined;
  /** How long a stream may last, of the route's max_stream_duration; undefined where the route has none. */
  readonly streamDuration?: StreamDuration | undefined;
}

/** RouteAction.MaxStreamDuration, in milliseconds. */
export interface StreamDuration {
  /** 0: no limit. Undefined: that of the connection manager. */
  readonly maxMs: number | undefined;
  /** Most of what the header grpc-timeout may ask for, 0 for no limit. Undefined: the header does not count. */
  readonly grpcMaxMs: number | undefined;
  /** How much earlier the stream ends than the header says. */
  readonly grpcOffsetMs: number;
}
