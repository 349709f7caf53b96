/** What becomes of a call. Every field can stand in an `expect:`; absent means that it has no part in this outcome. */

/** Where bytes or requests go. */
export interface Upstream {
  /** The cluster; with weights, the one that the call's `sample` falls on. */
  readonly cluster: string;
  /** With weights: every cluster and its share. */
  readonly clusters?: { readonly [name: string]: number };
  /** Discovery type of the cluster, or the name of its custom type. */
  readonly clusterType?: string;
  /** Addresses with ports, in the order sent; priorities above 0 are marked: "10.0.0.1:80 (priority 1)". */
  readonly endpoints?: readonly string[];
  /** How the proxy speaks to these endpoints; `mtls` shows a certificate. Several values where endpoints differ. */
  readonly upstreamTls?: "plain" | "tls" | "mtls" | "plain,mtls" | "plain,tls";
  /** Server name that the proxy sends. */
  readonly upstreamSni?: string;
  /** Envoy's response flag where the cluster cannot be used: NC no such cluster, UH no endpoints. */
  readonly flags?: "NC" | "UH";
}

/** How the listener took the connection. */
export interface Accepted {
  readonly listener: string;
  /** Name of the filter chain, "" where it has none. */
  readonly chain: string;
  /** `terminated` also with mutual TLS; `passthrough` where encrypted bytes are handed on. */
  readonly tls: "none" | "terminated" | "passthrough";
  /** What a terminating chain wants of the client. */
  readonly clientCertificate?: "required" | "requested" | "ignored";
  /** Network filters of the chain, by name. */
  readonly filters: readonly string[];
}

/** The connection ends before anything is sent on. */
export interface Closed extends Partial<Accepted> {
  readonly result: "closed";
  readonly reason:
    | "no listener"
    | "no filter chain"
    | "no filters"
    | "plain text where TLS is needed"
    | "TLS where plain text is needed"
    | "no client certificate"
    | "not HTTP";
}

export interface Tunnel {
  readonly hostname: string;
  readonly method: "CONNECT" | "POST";
}

export interface TcpForwarded extends Accepted, Upstream {
  readonly result: "tcp";
  readonly tunnel?: Tunnel;
}

/** What routing decided before an action is taken. */
export interface Routed extends Accepted {
  readonly routes: string;
  readonly virtualHost?: string;
  /** Name of the route, or its place such as "#2" where it has none. */
  readonly route?: string;
}

export interface Fault {
  readonly abortStatus?: number;
  readonly abortPercent?: number;
  readonly delayMs?: number;
  readonly delayPercent?: number;
}

export interface HttpForwarded extends Routed, Upstream {
  readonly result: "http";
  /** As the upstream sees them. */
  readonly path: string;
  readonly host: string;
  /** Headers of the request as the upstream sees them, without pseudo headers and without what filters add. */
  readonly requestHeaders: { readonly [name: string]: string };
  /** What the route makes of an answer without headers. */
  readonly responseHeaders: { readonly [name: string]: string };
  readonly responseHeadersRemoved: readonly string[];
  /** 0 is none; 15000 where the route says nothing. */
  readonly timeoutMs: number;
  readonly retries: number;
  readonly retryOn?: string;
  readonly perTryTimeoutMs?: number;
  /** Clusters that get a copy, and the percentage of requests that they get. */
  readonly mirrors: { readonly [cluster: string]: number };
  readonly fault?: Fault;
  /** What Envoy answers where the cluster cannot be used. */
  readonly status?: number;
}

export interface Redirected extends Routed {
  readonly result: "redirect";
  readonly status: number;
  readonly location: string;
  readonly responseHeaders: { readonly [name: string]: string };
}

export interface Answered extends Routed {
  readonly result: "answer";
  readonly status: number;
  readonly body: string;
  /** NR: no route. */
  readonly flags?: "NR";
  readonly responseHeaders: { readonly [name: string]: string };
}

export type Outcome = Closed | TcpForwarded | HttpForwarded | Redirected | Answered;
