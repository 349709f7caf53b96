/**
 * One request on its way through the filters: the target that carries what each layer needs.
 *
 * A filter is a layer around those after it: it may change the request, answer itself, call `next` (once, or never), and
 * change the response. Errors go up as LocalReplyError or ExchangeError and become responses in one place (rescue.ts).
 */

import { TracelessError } from "@meltemi/http2/traceless-error";
import type { HttpFilterEnv, ProxyEnv } from "../config/env.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";
import type { Route } from "../router/types.ts";
import type { Span } from "../tracing/types.ts";
import type { HeaderList } from "./header-list.ts";
import type { HttpRequest, HttpResponse } from "./message.ts";
import type { ResponseFlag } from "./response-flags.ts";
import type { StreamInfo } from "./stream-info.ts";

export interface Exchange {
  readonly connection: DownstreamConnection;
  readonly request: HttpRequest;
  readonly info: StreamInfo;
  /** The route that was found for the request as it is; undefined where there is none. Found when first asked for. */
  readonly route: Route | undefined;
  /** Has the route found anew when it is asked for next: the request has changed. */
  clearRoute(): void;
  /** What the route, its virtual host or the route table say for a filter, the closest first; by name of the filter in the chain. */
  perRoute<Config>(filter: HttpFilterFactory<unknown, Config>): Config | undefined;
  /** The same of every level that says something, the closest first: for filters that add them up. */
  perRouteAll<Config>(filter: HttpFilterFactory<unknown, Config>): readonly Config[];
  /** The trace span of this request; undefined where it is not sampled. */
  readonly span: Span | undefined;
  /** Sends a 1xx response (100, 103). Nothing where the protocol of the client has none. */
  inform(status: number, headers: HeaderList): void;
  /**
   * The answer that a reply of the proxy's own becomes for this client (local_reply_config, gRPC's form), for filters that
   * change such answers as they change all others. What is logged of the request says so from now on.
   */
  renderReply(reply: LocalReply): HttpResponse;
  /** Calls `run` once when the client is gone or the exchange was reset, or at once where it was; the result ends that. */
  onAbort(run: (cause: Error) => void): () => void;
  /** True when the client is gone or the exchange was reset: nobody wants an answer any more. */
  readonly isAborted: boolean;
  /** True where a RestartError is understood: without that, redirects of upstreams are left to the client. */
  readonly canRestart?: boolean;
  /** Calls `run` once when all is over, whatever the end; in the order of calls. For statistics and what is held. */
  onEnd(run: () => void): void;
}

export type HttpHandler = (exchange: Exchange) => Promise<HttpResponse>;

/** A filter of one chain, for all requests that go through it. */
export interface HttpFilter {
  handle(exchange: Exchange, next: HttpHandler): Promise<HttpResponse>;
  /** Ends timers and what else it holds: the listener goes. */
  close?(): void;
}

/**
 * A kind of HTTP filter. `compile` reads the configuration of a chain, `compileRoute` that of a route; both throw
 * ConfigError. What does not depend on requests is done there.
 */
export interface HttpFilterFactory<Wire, PerRoute = never> {
  /** Envoy's name, such as "envoy.filters.http.cors": the key of per-route configuration, too. */
  readonly name: string;
  /** Full name of the message of its configuration, such as "envoy.extensions.filters.http.cors.v3.Cors". */
  readonly type: string;
  compile(config: Wire, env: HttpFilterEnv): HttpFilter;
  /** Full names of the messages that it takes in typed_per_filter_config. */
  readonly routeTypes?: readonly string[];
  /** `config` is the unpacked message; `typeName` says of which of `routeTypes`. */
  compileRoute?(config: unknown, env: ProxyEnv, typeName: string): PerRoute;
}

export interface LocalReply {
  readonly status: number;
  /** "text/plain" unless `headers` says otherwise; "" for none. */
  readonly body?: string;
  readonly headers?: HeaderList;
  readonly flags?: readonly ResponseFlag[];
  /** %RESPONSE_CODE_DETAILS%, such as "rbac_access_denied_matched_policy[none]". */
  readonly details: string;
  /** gRPC status for clients that speak gRPC; by Envoy's table from the HTTP status where not given. */
  readonly grpcStatus?: number;
}

/** Thrown by a filter that answers itself: the proxy says it in the client's protocol (gRPC trailers-only for gRPC). */
export class LocalReplyError extends TracelessError {
  readonly reply: LocalReply;

  constructor(reply: LocalReply) {
    super("LocalReplyError", reply.details);
    this.reply = reply;
  }
}

/** The exchange has to be reset without an answer: the client is gone, or an answer that has begun broke off. */
export class ExchangeResetError extends TracelessError {
  readonly flags: readonly ResponseFlag[];

  constructor(details: string, flags: readonly ResponseFlag[] = []) {
    super("ExchangeResetError", details);
    this.flags = flags;
  }
}

/**
 * The request has been changed into another (an upstream's redirect that the proxy follows itself) and is to go through
 * all filters again, with its route found anew. Only thrown where the exchange says that it can.
 */
export class RestartError extends Error {
  constructor() {
    super("the request is to be led through the filters again");
    this.name = "RestartError";
  }
}
