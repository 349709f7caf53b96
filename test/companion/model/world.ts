/**
 * Everything that decides an answer at one moment: what a proxy is configured with, and how its upstreams are. Plain data,
 * of which the resources are built (wire-*.ts) and the answers are foretold (predict.ts), each without the other. Worlds
 * share what they have in common: the same object is the same configuration.
 */

/** "failing" answers 503, "slow" takes its time, "down" takes no connections. */
export type UpstreamState = "up" | "failing" | "slow" | "down";

export type Protocol = "http1" | "http2" | "tcp";

export interface World {
  readonly upstreams: ReadonlyMap<string, UpstreamState>;
  readonly clusters: ReadonlyMap<string, ClusterSpec>;
  readonly tables: ReadonlyMap<string, TableSpec>;
  /** By the slot whose port they listen on. */
  readonly listeners: ReadonlyMap<string, ListenerSpec>;
  /** The common name of the certificate that a secret holds. */
  readonly certificates: ReadonlyMap<string, string>;
}

export const versions = ["v1", "v2"] as const;
export type Version = (typeof versions)[number];

export interface EndpointSpec {
  readonly upstream: string;
  readonly health: "HEALTHY" | "UNHEALTHY" | "DRAINING";
  readonly weight: number;
  readonly version: Version;
  readonly priority: 0 | 1;
}

export interface ClusterSpec {
  readonly name: string;
  readonly protocol: Protocol;
  readonly isByEds: boolean;
  readonly policy: "ROUND_ROBIN" | "LEAST_REQUEST" | "RANDOM" | "RING_HASH" | "MAGLEV";
  /** Percent of hosts that must be healthy, or all are used. */
  readonly panicThreshold: number;
  /** Of a cluster with subsets by version: what those get whose version has no host, or who ask for none. */
  readonly fallback: "none" | "any" | Version | undefined;
  readonly endpoints: readonly EndpointSpec[];
}

export interface HeaderRule {
  readonly name: string;
  readonly kind: "exact" | "prefix" | "suffix" | "contains" | "present" | "regex" | "range";
  readonly value: string;
  readonly isInverted: boolean;
}

export interface QueryRule {
  readonly name: string;
  readonly kind: "exact" | "prefix" | "present";
  readonly value: string;
}

export interface RouteMatch {
  readonly kind: "prefix" | "exact" | "regex" | "separated";
  readonly path: string;
  readonly isCaseSensitive: boolean;
  readonly headers: readonly HeaderRule[];
  readonly query: readonly QueryRule[];
  /** Percent of requests that it is for; all where not given. */
  readonly fraction: 0 | 100 | undefined;
}

export interface HeaderChange {
  readonly name: string;
  readonly value: string;
  readonly action: "APPEND_IF_EXISTS_OR_ADD" | "ADD_IF_ABSENT" | "OVERWRITE_IF_EXISTS_OR_ADD" | "OVERWRITE_IF_EXISTS";
}

/** What is done to headers at one level; removals come first. */
export interface Mutations {
  readonly request: readonly HeaderChange[];
  readonly requestRemoved: readonly string[];
  readonly response: readonly HeaderChange[];
  readonly responseRemoved: readonly string[];
}

export interface Retry {
  readonly on: "5xx" | "gateway-error" | "connect-failure" | "retriable-status-codes" | "5xx,connect-failure,reset";
  readonly times: number;
  readonly perTryTimeoutMs: number | undefined;
  readonly avoidsTried: boolean;
}

export interface Mirror {
  readonly cluster: string;
  readonly percent: 0 | 100;
}

export type Target =
  | { readonly kind: "cluster"; readonly cluster: string }
  | { readonly kind: "weighted"; readonly parts: readonly { readonly cluster: string; readonly weight: number }[] }
  /** The cluster's name is in the header x-cluster. */
  | { readonly kind: "header" };

export type Rewrite =
  | { readonly kind: "prefix"; readonly to: string }
  | { readonly kind: "regex"; readonly pattern: string; readonly to: string };

export interface Forward {
  readonly kind: "forward";
  readonly target: Target;
  readonly rewrite: Rewrite | undefined;
  readonly host: string | undefined;
  /** The route's own; Envoy's 15 seconds where not given. */
  readonly timeoutMs: number | undefined;
  readonly retry: Retry | undefined;
  readonly mirrors: readonly Mirror[];
  /** The subset that it asks for. */
  readonly version: Version | undefined;
}

export interface Redirect {
  readonly kind: "redirect";
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly host: string | undefined;
  readonly isToHttps: boolean;
  readonly path: { readonly kind: "whole" | "prefix"; readonly to: string } | undefined;
  readonly stripsQuery: boolean;
}

export interface Direct {
  readonly kind: "direct";
  readonly status: number;
  readonly body: string;
}

export type Action = Forward | Redirect | Direct;

export interface Fault {
  readonly abort: number | undefined;
  readonly delayMs: number | undefined;
  /** Requests that it is for; all where not given. */
  readonly header: HeaderRule | undefined;
}

/** Overrides of filters for one route or virtual host. "open" takes the filter's own rules away. */
export interface FilterOverrides {
  readonly fault: Fault | undefined;
  readonly rbac: { readonly kind: "open" } | { readonly kind: "deny"; readonly header: HeaderRule } | undefined;
}

export interface RouteSpec {
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: Action;
  readonly mutations: Mutations;
  readonly filters: FilterOverrides;
}

export interface HostSpec {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly RouteSpec[];
  readonly mutations: Mutations;
  readonly filters: FilterOverrides;
  readonly requiresTls: boolean;
}

export interface TableSpec {
  readonly name: string;
  readonly hosts: readonly HostSpec[];
  readonly mutations: Mutations;
}

export interface HttpChain {
  readonly kind: "http";
  /** The name of the server that clients ask for by TLS; any where not given. */
  readonly sni: string | undefined;
  /** Undefined for plain text. */
  readonly secret: string | undefined;
  /** Said with every answer: it tells one generation from the next. */
  readonly serverName: string;
  readonly filters: readonly ("rbac" | "fault")[];
  /** What the RBAC filter denies where no route says otherwise. */
  readonly denies: HeaderRule | undefined;
  readonly fault: Fault | undefined;
  readonly routes:
    | { readonly kind: "rds"; readonly table: string }
    | { readonly kind: "inline"; readonly table: TableSpec };
}

export interface TcpChain {
  readonly kind: "tcp";
  readonly label: string;
  readonly target: Exclude<Target, { readonly kind: "header" }>;
}

export type ChainSpec = HttpChain | TcpChain;

export interface ListenerSpec {
  readonly slot: string;
  /** Changing it changes the listener and none of its chains. */
  readonly bufferLimit: number;
  readonly chains: readonly ChainSpec[];
}

export const noMutations: Mutations = { request: [], requestRemoved: [], response: [], responseRemoved: [] };
export const noOverrides: FilterOverrides = { fault: undefined, rbac: undefined };

/** The protocol of an upstream is the first word of its name. */
export function protocolOf(upstream: string): Protocol {
  return upstream.slice(0, upstream.indexOf("-")) as Protocol;
}

/** The chain that serves a connection to a slot; undefined where nothing listens. */
export function findChain(world: World, slot: string, sni: string | undefined): ChainSpec | undefined {
  const chains = world.listeners.get(slot)?.chains ?? [];
  const named = chains.find((chain) => chain.kind === "http" && chain.sni !== undefined && chain.sni === sni);
  return named ?? chains.find((chain) => chain.kind === "tcp" || chain.sni === undefined);
}
