/**
 * One request from its head to the end of its answer: what filters see as Exchange and codecs as StreamEvents. Made once for
 * each request, with nothing in it that is not needed by most.
 */
import type { AccessLogType } from "@meltemi/protos/envoy/data/accesslog/v3";
import type { LogEntry } from "../access-log/types.ts";
import type { Placed } from "../lib/bag.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";
import type { Route } from "../router/types.ts";
import { decorateRequest, decorateResponse } from "../tracing/decorator.ts";
import type { Span } from "../tracing/types.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { CodecStream, Refusal, StreamEvents } from "./codec-stream.ts";
import type { Manager } from "./connection-manager-parts.ts";
import { ExchangeResetError, type HttpFilterFactory, type LocalReply, RestartError } from "./exchange.ts";
import type { ChainExchange, FilterChain } from "./filter-chain.ts";
import { HeaderList } from "./header-list.ts";
import type { HttpRequest, HttpResponse } from "./message.ts";
import { applyRequestRules } from "./request-rules.ts";
import { rescue } from "./rescue.ts";
import { applyResponseRules } from "./response-rules.ts";
import { StreamInfo } from "./stream-info.ts";
import { needsIdleWatch, StreamLimits } from "./stream-limits.ts";
import { findUpgradeChain } from "./upgrade-chains.ts";

/** A request that came, or the answer to one whose head could not be read: `request` is empty then. */
export interface Begun {
  readonly request: HttpRequest;
  readonly malformed?: LocalReply;
}

const noRoute = Symbol("not looked for");

export class HttpExchange implements ChainExchange, StreamEvents, Placed {
  readonly connection: DownstreamConnection;
  readonly request: HttpRequest;
  readonly canRestart = true;
  info: StreamInfo;
  readonly stream: CodecStream;
  readonly #manager: Manager;
  readonly #client: ClientConnection;
  #chain: FilterChain;
  #route: Route | undefined | typeof noRoute = noRoute;
  #onAbort: ((cause: Error) => void)[] | undefined;
  #onEnd: (() => void)[] | undefined;
  #abortCause: Error | undefined;
  /** The head was taken, and the request has a route if there is one for it. */
  #hasBegun = false;
  /** An answer goes out; what the filters still say is not wanted. */
  #isAnswered = false;
  #isOver = false;
  readonly #malformed: LocalReply | undefined;
  #isUpgraded = false;
  /** The connection ends with the answer. */
  #isLast = false;
  #responseHeaders: HeaderList | undefined;
  /** What the answer says of the span's name. */
  #toldOperation: string | undefined;
  span: Span | undefined;
  filtersOff: number | undefined;
  /** What the sweep has seen of the stream's bytes, and when. */
  seenBytes = 0;
  place = -1;
  seenAt: number;
  loggedAt: number;
  #limits: StreamLimits | undefined;

  constructor(client: ClientConnection, stream: CodecStream, { request, malformed }: Begun) {
    const { manager } = client;
    this.#client = client;
    this.#manager = manager;
    this.#chain = manager.chain;
    this.stream = stream;
    this.connection = client.connection;
    this.request = request;
    this.#malformed = malformed;
    const { clock } = manager.env;
    const startedAt = clock.monotonic();
    this.info = new StreamInfo(client.connection, clock.now(), startedAt);
    this.info.protocol = request.protocol;
    this.seenAt = startedAt;
    this.loggedAt = startedAt;
    this.#limitByManager();
  }

  get route(): Route | undefined {
    if (this.#route === noRoute) {
      this.#route = this.#manager.routes()?.find(this);
      if (this.#route !== undefined) {
        this.#note(this.#route);
        this.#limitByRoute(this.#route);
      }
    }
    return this.#route;
  }

  /** Logs tell the route also of requests that do not come to the router. */
  #note({ name, virtualHost, action }: Route): void {
    const { info } = this;
    info.routeName = name;
    info.virtualHostName = virtualHost;
    const cluster = action.kind === "forward" ? action.cluster : "";
    info.clusterName = this.#manager.env.clusters.find(cluster) === undefined ? "" : cluster;
  }

  clearRoute(): void {
    this.#route = noRoute;
  }

  perRoute<Config>(filter: HttpFilterFactory<unknown, Config>): Config | undefined {
    return this.route?.filterConfig(this.#chain.nameOf(filter as HttpFilterFactory<never, unknown>)) as
      | Config
      | undefined;
  }

  perRouteAll<Config>(filter: HttpFilterFactory<unknown, Config>): readonly Config[] {
    const name = this.#chain.nameOf(filter as HttpFilterFactory<never, unknown>);
    return (this.route?.filterConfigs(name) ?? []) as readonly Config[];
  }

  get isAborted(): boolean {
    return this.#abortCause !== undefined;
  }

  /** Of the route that was found, in place of the connection manager's; undefined where it says nothing. */
  get idleTimeoutMs(): number | undefined {
    const action = this.#route === noRoute ? undefined : this.#route?.action;
    return action?.kind === "forward" ? action.plan.idleTimeoutMs : undefined;
  }

  #limitByManager(): void {
    const { streamDurationMs } = this.#manager.settings.timeouts;
    if (streamDurationMs === 0) return;
    this.#limits = new StreamLimits(this, this.#manager);
    this.#limits.limitDuration(streamDurationMs);
  }

  /** The route's own limits take the place of those in force; most have none, and cost nothing. */
  #limitByRoute({ action }: Route): void {
    if (action.kind !== "forward" || this.#isOver) return;
    const { plan } = action;
    if (plan.streamDuration !== undefined || needsIdleWatch(plan.idleTimeoutMs, this.#manager)) {
      this.#limits ??= new StreamLimits(this, this.#manager);
    }
    this.#limits?.follow(plan);
  }

  /** Keeps in mind when bytes have come or gone last, as far as it is known from looking every so often. */
  noteTraffic(now: number): void {
    const bytes = this.stream.bytesReceived + this.stream.bytesSent;
    if (bytes === this.seenBytes) return;
    this.seenBytes = bytes;
    this.seenAt = now;
  }

  onAbort(run: (cause: Error) => void): () => void {
    if (this.#abortCause !== undefined) {
      run(this.#abortCause);
      return () => undefined;
    }
    this.#onAbort ??= [];
    const list = this.#onAbort;
    list.push(run);
    return () => {
      const place = list.indexOf(run);
      if (place >= 0) list.splice(place, 1);
    };
  }

  onEnd(run: () => void): void {
    if (this.#isOver) {
      run();
      return;
    }
    this.#onEnd ??= [];
    this.#onEnd.push(run);
  }

  inform(status: number, headers: HeaderList): void {
    if (this.#isAnswered || this.isAborted) return;
    // Without proxy_100_continue the client was told to continue here, and Envoy passes no other 1xx on either.
    if (!this.#manager.settings.proxies100) return;
    this.stream.inform(status, headers);
  }

  /** Begins: rules first, then the filters; or the answer to a head that could not be read. */
  onStart(): void {
    if (this.#malformed !== undefined) {
      this.answerLocally(this.#malformed);
      return;
    }
    const { settings } = this.#manager;
    const reply = applyRequestRules(
      settings.rules,
      { request: this.request, info: this.info, connection: this.connection, namesScheme: this.stream.namesScheme },
      this.#manager.routes()?.wire.internal_only_headers,
    );
    if (reply !== undefined) {
      this.#isLast = this.#client.countRefusal(reply);
      this.answerLocally(reply);
      return;
    }
    this.#hasBegun = true;
    this.#trace();
    if (settings.logging.atStart) this.#log("DownstreamStart");
    if (this.request.upgrade !== undefined && !this.#chooseUpgradeChain()) return;
    void this.#run();
  }

  #trace(): void {
    const { tracer, isEgress } = this.#manager;
    if (tracer === undefined) return;
    this.span = tracer.start(this);
    // The decision about the trace is written into the id.
    this.info.requestId = this.request.headers.get("x-request-id") ?? "";
    this.#toldOperation = decorateRequest(this, isEgress);
  }

  #chooseUpgradeChain(): boolean {
    const chain = findUpgradeChain(this.#manager, this);
    if (chain === undefined) {
      this.#manager.stats.counters.rq_ws_on_non_ws_route.inc();
      this.answerLocally({ status: 403, body: "", details: "upgrade_failed" });
      return false;
    }
    this.#chain = chain;
    return true;
  }

  async #run(): Promise<void> {
    let response: HttpResponse | undefined;
    while (response === undefined) {
      try {
        response = await this.#chain.handle(this);
      } catch (cause: unknown) {
        if (this.#isAnswered || this.#isOver) return;
        if (!(cause instanceof RestartError)) {
          this.#rescue(cause);
          return;
        }
        this.#restart();
      }
    }
    if (this.#isAnswered || this.#isOver) response.body?.cancel();
    else this.#answer(response);
  }

  /** As a request of its own in statistics, logs and traces; only the filter state of the former is there, too. */
  #restart(): void {
    const former = this.info;
    const { env, stats } = this.#manager;
    former.endedAt = env.clock.monotonic();
    this.#conclude();
    const info = new StreamInfo(this.connection, env.clock.now(), former.endedAt);
    const { protocol, remoteAddress, requestId, isHealthCheck } = former;
    Object.assign(info, { protocol, remoteAddress, requestId, isHealthCheck, requestReceivedAt: info.startedAt });
    for (const [name, state] of former.filterState) info.filterState.set(name, state);
    this.info = info;
    this.filtersOff = undefined;
    this.#limits?.close();
    this.#limits = undefined;
    this.#limitByManager();
    this.clearRoute();
    stats.counters.rq_total.inc();
    stats.counters[protocol === "HTTP/2" ? "rq_http2_total" : "rq_http1_total"].inc();
    this.#trace();
  }

  #rescue(cause: unknown): void {
    const result = rescue(cause);
    if (result.kind === "reset") {
      for (const flag of result.error.flags) this.info.responseFlags.add(flag);
      this.#reset(result.error.message);
      return;
    }
    if (result.kind === "defect") this.#manager.env.log.error("A filter failed", { cause: result.cause });
    this.answerLocally(result.reply);
  }

  /** The proxy's own answer; where one has begun to go out, the stream is reset instead. */
  answerLocally(reply: LocalReply): void {
    if (this.#isOver) return;
    if (this.#isAnswered) {
      for (const flag of reply.flags ?? []) this.info.responseFlags.add(flag);
      this.info.responseCodeDetails = reply.details;
      this.#reset(reply.details);
      return;
    }
    this.#answer(this.renderReply(reply));
  }

  renderReply(reply: LocalReply): HttpResponse {
    const { info } = this;
    // Of what goes out already nothing changes any more.
    if (!this.#isAnswered && !this.#isOver) {
      for (const flag of reply.flags ?? []) info.responseFlags.add(flag);
      info.responseCodeDetails = reply.details.replaceAll(" ", "_");
    }
    const request = this.#malformed === undefined ? this.request : undefined;
    return this.#manager.renderReply(this.#changeReply(reply), { info, request });
  }

  /** As the route wants it; what the reply says itself comes after that. */
  #changeReply(reply: LocalReply): LocalReply {
    const change = this.#hasBegun ? this.route?.changeReply : undefined;
    if (change === undefined) return reply;
    const headers = new HeaderList();
    change(headers, { ...this.#logEntry(), responseHeaders: headers });
    const own = [...(reply.headers ?? [])];
    for (const [name] of own) headers.remove(name);
    for (const [name, value] of own) headers.append(name, value);
    return { ...reply, headers };
  }

  /** Ends what the filters do, and answers: a timeout, or a request that cannot be read further. */
  interrupt(reply: LocalReply): void {
    if (this.#isOver) return;
    // What breaks off an answer that goes out is this, and not what the filters make of their end.
    if (!this.#isAnswered) this.#tellAbort(new ExchangeResetError(reply.details, reply.flags ?? []));
    this.answerLocally(reply);
  }

  #answer(response: HttpResponse): void {
    this.#isAnswered = true;
    const { info } = this;
    const { env, stats, tracer, isEgress } = this.#manager;
    info.responseCode = response.status;
    info.responseStartedAt = env.clock.monotonic();
    applyResponseRules(response.headers, this.#malformed === undefined ? this.request : undefined, this.#manager);
    this.#responseHeaders = response.headers;
    if (tracer !== undefined)
      decorateResponse(response.headers, { told: this.#toldOperation, span: this.span, isEgress });
    if (this.request.upgrade !== undefined && isAccepted(response.status)) this.#countUpgrade();
    else if (!this.stream.isRequestComplete) stats.counters.rq_response_before_rq_complete.inc();
    try {
      this.stream.respond(response, this.#client.isLastAnswer(this.stream) || this.#isLast);
    } catch (cause: unknown) {
      // A head that the codec cannot write, or a body whose source fails as it begins.
      env.log.error("An answer could not be sent", { cause });
      response.body?.cancel();
      this.#reset("response_not_sendable");
    }
  }

  #countUpgrade(): void {
    const { counters, gauges } = this.#manager.stats;
    this.#isUpgraded = true;
    counters.cx_upgrades_total.inc();
    gauges.cx_upgrades_active.inc();
    if (this.#manager.settings.logging.atTunnel) this.#log("DownstreamTunnelSuccessfullyEstablished");
  }

  #reset(details: string): void {
    if (this.#isOver) return;
    this.#manager.stats.counters.rq_tx_reset.inc();
    this.stream.reset(details);
    this.#tellAbort(new ExchangeResetError(details));
    this.#finish();
  }

  onRequestEnd(): void {
    // A request without a body was all there when it began.
    const hasBody = this.request.body !== undefined;
    this.info.requestReceivedAt = hasBody ? this.#manager.env.clock.monotonic() : this.info.startedAt;
  }

  onMalformed(reply: LocalReply): void {
    this.#manager.stats.counters.cx_protocol_error.inc();
    this.interrupt(reply);
  }

  onGone(cause: Error): void {
    if (this.#isOver) return;
    this.info.responseFlags.add("DC");
    this.info.responseCodeDetails = "downstream_remote_disconnect";
    this.#manager.stats.counters.rq_rx_reset.inc();
    this.#tellAbort(cause);
    this.#finish();
  }

  onRefused({ flags, details }: Refusal): void {
    if (this.#isOver) return;
    for (const flag of flags) this.info.responseFlags.add(flag);
    this.info.responseCodeDetails = details;
    this.#manager.stats.counters.rq_rx_reset.inc();
    this.#tellAbort(new ExchangeResetError(details, flags));
    this.#finish();
  }

  onResponseEnd(): void {
    this.#finish();
  }

  onResponseBroken(cause: Error): void {
    this.#manager.stats.counters.rq_tx_reset.inc();
    if (cause instanceof ExchangeResetError) for (const flag of cause.flags) this.info.responseFlags.add(flag);
    this.#tellAbort(cause);
    this.#finish();
  }

  #tellAbort(cause: Error): void {
    if (this.#abortCause !== undefined) return;
    this.#abortCause = cause;
    const list = this.#onAbort;
    this.#onAbort = undefined;
    if (list !== undefined) for (const run of list.splice(0)) run(cause);
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#limits?.close();
    const { info, stream } = this;
    const { env, stats } = this.#manager;
    info.endedAt = env.clock.monotonic();
    info.bytesReceived = stream.bytesReceived;
    info.bytesSent = stream.bytesSent;
    if (this.#isUpgraded) stats.gauges.cx_upgrades_active.dec();
    if (info.responseCode !== undefined) stats.countStatus(info.responseCode);
    stats.requestTime.record(info.endedAt - info.startedAt);
    this.#conclude();
    this.#client.onExchangeEnd(this);
  }

  /** Ends what filters began, the span and the log's entry. */
  #conclude(): void {
    const { tracer, accessLog } = this.#manager;
    if (this.#onEnd !== undefined) for (const run of this.#onEnd.splice(0)) run();
    if (accessLog !== undefined || this.span !== undefined) {
      const entry = this.#logEntry();
      if (this.span !== undefined) tracer?.finish(this.span, entry);
      accessLog?.log(entry);
    }
  }

  /** A line while the request is under way. */
  logPeriodically(): void {
    this.#log("DownstreamPeriodic");
  }

  #log(type: AccessLogType): void {
    const { info, stream } = this;
    info.bytesReceived = stream.bytesReceived;
    info.bytesSent = stream.bytesSent;
    this.#manager.accessLog?.log({ ...this.#logEntry(), type });
  }

  #logEntry(): LogEntry {
    return {
      info: this.info,
      request: this.#malformed === undefined ? this.request : undefined,
      responseHeaders: this.#responseHeaders,
      responseTrailers: this.stream.responseTrailers,
      routeMetadata: this.#route === noRoute ? undefined : this.#route?.metadata,
      span: this.span,
    };
  }
}

function isAccepted(status: number): boolean {
  return status === 101 || (status >= 200 && status < 300);
}
