/** Exchanges for the tests of filters: real requests, bodies and statistics, and `next` as the rest of the chain. */
import { PassThrough } from "node:stream";
import type { HttpFilterEnv } from "../config/env.ts";
import type { Runtime } from "../config/runtime.ts";
import { type BodySource, bodyOf, collect } from "../http/body.ts";
import {
  type Exchange,
  type HttpFilterFactory,
  type HttpHandler,
  type LocalReply,
  LocalReplyError,
} from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import { compileLocalReplies } from "../http/local-replies.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { StreamInfo } from "../http/stream-info.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import type { StatsRegistry } from "../lib/stats-registry.ts";
import type { DownstreamConnection, TlsInfo } from "../listeners/connection.ts";
import { fractionOf } from "../matchers/fraction.ts";
import type { Route } from "../router/types.ts";
import { HandshakeLine } from "../tls/handshake-line.ts";
import type { ClusterManager } from "../upstream/types.ts";

type Headers = Readonly<Record<string, string | readonly string[]>>;

export interface TestRequest {
  readonly method?: string;
  readonly path?: string;
  readonly authority?: string;
  readonly headers?: Headers;
  readonly body?: string | Uint8Array | BodySource;
  readonly protocol?: HttpRequest["protocol"];
  readonly upgrade?: string;
  readonly client?: string;
  readonly tls?: TlsInfo;
}

export interface TestAnswer {
  readonly status?: number;
  readonly headers?: Headers;
  readonly body?: string | Uint8Array | BodySource;
  readonly trailers?: Headers;
  /** What the rest of the chain does before it answers. */
  readonly does?: (exchange: Exchange) => void | Promise<void>;
  readonly throws?: Error;
}

export interface TestChainOptions {
  readonly filter: unknown;
  /** What the route and the levels above say for the filter, the closest first, with its message type. */
  readonly perRoute?: readonly unknown[];
  readonly route?: Partial<Route> | "none";
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly runtime?: Readonly<Record<string, number>>;
  readonly clusters?: ClusterManager;
  readonly env?: Partial<HttpFilterEnv>;
}

/** What came of a request. */
export interface TestOutcome {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly bytes: Uint8Array;
  readonly trailers: Readonly<Record<string, string>> | undefined;
  /** The filter's own reply; undefined where a response came. */
  readonly reply: LocalReply | undefined;
  /** The request as it was handed on; undefined where it was not. */
  readonly forwarded: ForwardedRequest | undefined;
  readonly info: StreamInfo;
  readonly routeClears: number;
}

export interface ForwardedRequest {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface TestChain {
  readonly stats: StatsRegistry;
  ask(request?: TestRequest, answer?: TestAnswer): Promise<TestOutcome>;
  /** The value of a statistic, 0 where there is none. */
  stat(name: string): number;
  close(): void;
}

/** A chain of one filter. Statistics of its connection manager are below "http.test.". */
export function createTestChain<Wire, PerRoute>(
  factory: HttpFilterFactory<Wire, PerRoute>,
  options: TestChainOptions,
): TestChain {
  const stats = createStatsRegistry();
  const env = createTestEnv(stats, options);
  const filter = factory.compile(options.filter as Wire, env);
  const [routeType = ""] = factory.routeTypes ?? [];
  const perRoute = (options.perRoute ?? []).map((config) => factory.compileRoute?.(config, env, routeType));
  let connections = 0;
  return {
    stats,
    stat: (name) => stats.counters().get(name) ?? stats.gauges().get(name) ?? 0,
    close: () => filter.close?.(),
    async ask(wire = {}, answer = {}) {
      connections += 1;
      const test = createTestExchange(wire, { env, perRoute, route: options.route, id: connections });
      let forwarded: ForwardedRequest | undefined;
      const next: HttpHandler = async (exchange) => {
        await answer.does?.(exchange);
        forwarded = await recordRequest(exchange.request);
        if (answer.throws) throw answer.throws;
        return buildResponse(answer);
      };
      const result = await settle(filter.handle(test.exchange, next));
      test.end();
      return { ...result, forwarded, info: test.exchange.info, routeClears: test.routeClears() };
    },
  };
}

export function createTestEnv(stats: StatsRegistry, options: Omit<TestChainOptions, "filter"> = {}): HttpFilterEnv {
  const unused = (): never => {
    throw new Error("not part of this test");
  };
  const random = options.random ?? (() => 0.5);
  return {
    clock: options.clock ?? systemClock,
    log: silentLog,
    stats,
    random,
    node: { id: "node-1", cluster: "service-1" },
    runtime: createTestRuntime(options.runtime ?? {}),
    clusters: options.clusters ?? { find: () => undefined, list: () => [] },
    secrets: { open: unused, list: () => [] },
    handshakes: new HandshakeLine(systemClock),
    accessLogs: { compile: unused, reopen: () => undefined, close: () => Promise.resolve() },
    routes: { open: unused },
    compileRoutes: unused,
    extensions: { open: unused },
    listenerName: "listener",
    listenerStats: stats.scope("listener.127.0.0.1_80"),
    direction: "UNSPECIFIED",
    statPrefix: "test",
    httpStats: stats.scope("http.test"),
    ...options.env,
  };
}

function createTestRuntime(values: Readonly<Record<string, number>>): Runtime {
  return {
    number: (key, otherwise) => values[key] ?? otherwise,
    flag: (key, otherwise) => (values[key] === undefined ? otherwise : values[key] !== 0),
    isChosen(fraction, dice) {
      const percent = values[fraction?.runtime_key ?? ""];
      return dice < (percent === undefined ? fractionOf(fraction?.default_value) : percent / 100);
    },
    entries: () => new Map(Object.entries(values)),
  };
}

interface ExchangeParts {
  readonly env: HttpFilterEnv;
  readonly perRoute: readonly unknown[];
  readonly route: TestChainOptions["route"];
  readonly id: number;
}

export interface TestExchange {
  readonly exchange: Exchange;
  /** The client goes away. */
  abort(): void;
  end(): void;
  routeClears(): number;
}

export function createTestExchange(wire: TestRequest, { env, perRoute, route, id }: ExchangeParts): TestExchange {
  const connection = createTestConnection(wire, id);
  const info = new StreamInfo(connection, env.clock.now(), env.clock.monotonic());
  const aborts = new Set<(cause: Error) => void>();
  const ends: (() => void)[] = [];
  let clears = 0;
  let isAborted = false;
  const renderReply = compileLocalReplies({}, env);
  const exchange: Exchange = {
    connection,
    request: createRequest(wire),
    info,
    route: route === "none" ? undefined : createRoute(route),
    clearRoute() {
      clears += 1;
    },
    perRoute: <Config>() => perRoute[0] as Config | undefined,
    perRouteAll: <Config>() => perRoute as readonly Config[],
    span: undefined,
    inform: () => undefined,
    renderReply: (reply) => renderReply(reply, exchange),
    onAbort(run) {
      aborts.add(run);
      return () => aborts.delete(run);
    },
    get isAborted() {
      return isAborted;
    },
    onEnd: (run) => ends.push(run),
  };
  return {
    exchange,
    abort() {
      isAborted = true;
      for (const run of [...aborts]) run(new Error("the client is gone"));
    },
    end: () => {
      for (const run of ends.splice(0)) run();
    },
    routeClears: () => clears,
  };
}

function createRoute(parts: Partial<Route> = {}): Route {
  return {
    name: "route",
    virtualHost: "host",
    virtualHostWire: {},
    metadata: {},
    decorator: undefined,
    action: {
      kind: "forward",
      cluster: "upstream",
      plan: { timeoutMs: 0, upgrades: new Map(), idleTimeoutMs: undefined },
      wire: {},
    },
    filterConfig: () => undefined,
    filterConfigs: () => [],
    isDisabled: () => false,
    ...parts,
  };
}

function createTestConnection({ client = "10.1.2.3", tls }: TestRequest, id: number): DownstreamConnection {
  const remote = { ip: client, port: 4321 };
  const connection: Omit<DownstreamConnection, "info"> & { info?: StreamInfo } = {
    id,
    stream: new PassThrough(),
    localAddress: { ip: "10.9.9.9", port: 80 },
    remoteAddress: remote,
    directRemoteAddress: remote,
    sni: tls?.sni ?? "",
    applicationProtocols: [],
    tls,
    filterState: new Map(),
    isDraining: false,
    onDrain: () => undefined,
    onClose: () => undefined,
    close: () => undefined,
  };
  const whole = connection as DownstreamConnection & { info: StreamInfo };
  whole.info = new StreamInfo(whole, 0, 0);
  return whole;
}

function createRequest(wire: TestRequest): HttpRequest {
  return {
    method: wire.method ?? "GET",
    scheme: "http",
    authority: wire.authority ?? "example.com",
    path: wire.path ?? "/",
    headers: toHeaders(wire.headers),
    body: toBody(wire.body, undefined),
    protocol: wire.protocol ?? "HTTP/1.1",
    upgrade: wire.upgrade,
  };
}

export function toHeaders(headers: Headers = {}): HeaderList {
  const list = new HeaderList();
  for (const [name, value] of Object.entries(headers)) {
    for (const one of typeof value === "string" ? [value] : value) list.append(name, one);
  }
  return list;
}

function toBody(body: TestAnswer["body"], trailers: HeaderList | undefined): BodySource | undefined {
  if (body === undefined) return undefined;
  if (typeof body === "string") return bodyOf(Buffer.from(body), trailers);
  return body instanceof Uint8Array ? bodyOf(body, trailers) : body;
}

function buildResponse({ status = 200, headers, body, trailers }: TestAnswer): HttpResponse {
  return { status, headers: toHeaders(headers), body: toBody(body, trailers && toHeaders(trailers)) };
}

async function recordRequest({ method, path, authority, headers, body }: HttpRequest): Promise<ForwardedRequest> {
  const bytes = body ? (await collect(body, 1e8)).bytes : Buffer.alloc(0);
  return { method, path, authority, headers: toRecord(headers), body: Buffer.from(bytes).toString() };
}

function toRecord(headers: HeaderList): Readonly<Record<string, string>> {
  return Object.fromEntries([...headers].map(([name]) => [name, headers.joined(name) ?? ""]));
}

type Settled = Omit<TestOutcome, "forwarded" | "info" | "routeClears">;

async function settle(answer: Promise<HttpResponse>): Promise<Settled> {
  try {
    const { status, headers, body } = await answer;
    const { bytes, trailers } = body ? await collect(body, 1e8) : { bytes: Buffer.alloc(0), trailers: undefined };
    const text = Buffer.from(bytes).toString();
    const record = trailers && toRecord(trailers);
    return { status, headers: toRecord(headers), body: text, bytes, trailers: record, reply: undefined };
  } catch (cause: unknown) {
    if (!(cause instanceof LocalReplyError)) throw cause;
    const { reply } = cause;
    const body = reply.body ?? "";
    const headers = reply.headers ? toRecord(reply.headers) : {};
    return { status: reply.status, headers, body, bytes: Buffer.from(body), trailers: undefined, reply };
  }
}
