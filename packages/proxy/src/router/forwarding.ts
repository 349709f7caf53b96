/**
 * One request on its way to a cluster: attempts, retries, timeouts, and the answer. Everything that happens comes in as a
 * call (an answer, a failure, a timer, the client's end), and the first end that is reached is the only one.
 */
import { type Exchange, ExchangeResetError, type LocalReplyError, RestartError } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { HttpResponse } from "../http/message.ts";
import type { ResponseFlag } from "../http/response-flags.ts";
import type { Timer } from "../lib/clock.ts";
import {
  flagOfFailure,
  type Host,
  type LoadBalancerContext,
  type UpstreamCluster,
  UpstreamError,
  type UpstreamResponse,
} from "../upstream/types.ts";
import { AnswerCount } from "./answer-count.ts";
import { Attempt, type AttemptObserver } from "./attempt.ts";
import { chooseHost, createContext, LazyHash, type RetryChoice } from "./choose-host.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import type { Deadline } from "./deadlines.ts";
import { finishHeaders, finishReply } from "./finish-answer.ts";
import { followRedirect } from "./follow-redirect.ts";
import type { ForwardRules } from "./forward-rules.ts";
import type { ForwardStart } from "./forward-start.ts";
import { updateAuthority } from "./host-rewrite.ts";
import {
  bufferExceeded,
  type DropFailure,
  dropOverload,
  isDropped,
  maintenanceMode,
  maxDurationReached,
  noHealthyUpstream,
  resetAfterResponse,
  resetBeforeResponse,
  timedOut,
} from "./local-replies.ts";
import { hasEnvoyHeaders, hostOptions, prepareRequest, readEnvoyHeaders, tellAttempt } from "./prepare-request.ts";
import { RequestBody } from "./request-body.ts";
import { ResponseBody, type ResponseObserver } from "./response-body.ts";
import { flagsOfVerdict, RetryState, type RetryVerdict } from "./retry-state.ts";
import type { ClusterFacts, RouterEnv } from "./router-env.ts";
import { type ChosenMirror, chooseMirrors, sendShadow } from "./shadow.ts";
import type { Timeouts } from "./timeouts.ts";

export class Forwarding implements AttemptObserver, ResponseObserver {
  readonly #env: RouterEnv;
  readonly #exchange: Exchange;
  readonly #route: CompiledRoute;
  readonly #rules: ForwardRules;
  readonly #cluster: UpstreamCluster;
  readonly #facts: ClusterFacts;
  readonly #count: AnswerCount;
  readonly #resolve: (response: HttpResponse) => void;
  readonly #reject: (cause: Error) => void;
  readonly #hash: LazyHash;
  #timeouts: Timeouts | undefined;
  #isTimeoutEmpty = false;
  #retry: RetryState | undefined;
  #retryChoice: RetryChoice | undefined;
  #retryTimer: Timer | undefined;
  /** A host is being chosen, or a retry waits. */
  #isPending = false;
  #body: RequestBody | undefined;
  #mirrors: readonly ChosenMirror[] = [];
  #attempts: Attempt[] = [];
  /** The one whose answer is passed on. */
  #winner: Attempt | undefined;
  #responseBody: ResponseBody | undefined;
  #deadline: Deadline | undefined;
  #stopWaitingForAbort: (() => void) | undefined;
  /** Monotonic; undefined until the client has sent everything. */
  #requestDoneAt: number | undefined;
  #isSettled = false;
  #isOver = false;

  constructor(start: ForwardStart) {
    this.#env = start.env;
    this.#exchange = start.exchange;
    this.#route = start.route;
    this.#rules = start.rules;
    this.#cluster = start.cluster;
    this.#facts = start.env.factsOf(start.cluster);
    this.#count = new AnswerCount(start.env, this.#facts, start.exchange, start.route);
    this.#hash = new LazyHash(start.exchange, start.rules.hash);
    this.#resolve = start.resolve;
    this.#reject = start.reject;
  }

  begin(): void {
    const { request } = this.#exchange;
    const hasEnvoy = hasEnvoyHeaders(request.headers);
    if (hasEnvoy) this.#isTimeoutEmpty = readEnvoyHeaders(request.headers, this.#env, this.#count);
    if (this.#env.runtime.number(this.#facts.maintenanceKey, 0) > this.#env.random() * 100) {
      this.#facts.counters.counters.upstream_rq_maintenance_mode.inc();
      this.#fail(maintenanceMode(this.#env.suppressesHeaders));
      return;
    }
    this.#stopWaitingForAbort = this.#exchange.onAbort(() => this.#onClientGone());
    if (this.#isOver) return;
    this.#exchange.info.attempts += 1;
    const { timeouts, retries } = prepareRequest(this.#exchange, this.#route, {
      ...{ rules: this.#rules, env: this.#env, hasEnvoy },
    });
    this.#timeouts = timeouts;
    this.#chooseHost((host) => this.#start(host, retries));
  }

  /** Calls `then` with a host, or ends the request where there is none. Every choice is for one attempt. */
  #chooseHost(then: (host: Host) => void): void {
    this.#isPending = true;
    chooseHost(this.#cluster, this.#context(), {
      chosen: (host) => {
        this.#isPending = false;
        if (!this.#isOver) then(host);
      },
      failed: (cause) => this.#onNoHost(cause),
    });
  }

  #context(): LoadBalancerContext {
    return createContext(this.#exchange, {
      cluster: this.#cluster,
      rules: this.#rules,
      hash: this.#hash,
      retry: this.#retryChoice,
    });
  }

  #onNoHost(cause: unknown): void {
    this.#isPending = false;
    if (this.#isOver) return;
    const failure = cause instanceof UpstreamError ? cause : undefined;
    if (failure === undefined || failure.failure === "no-healthy-upstream") this.#fail(noHealthyUpstream());
    else if (isDropped(failure.failure)) this.#drop(failure.failure);
    else this.#fail(this.#resetReply(failure));
  }

  /** Nobody was tried: what is dropped is no attempt, and the client is told of none. */
  #drop(failure: DropFailure): void {
    this.#exchange.info.attempts -= 1;
    this.#fail(dropOverload(failure, this.#env.suppressesHeaders));
  }

  #start(host: Host, retries: ForwardRules["retry"] | undefined): void {
    if (retries !== undefined) this.#allowRetries(retries);
    if (this.#rules.mirrors.length > 0) this.#mirrors = chooseMirrors(this.#rules.mirrors, this.#exchange.request);
    this.#openBody();
    this.#tryHost(host);
    if (this.#body === undefined) this.#onRequestComplete();
  }

  #allowRetries(policy: ForwardRules["retry"]): void {
    this.#retryChoice = { policy, tried: [] };
    const { clock, random, runtime } = this.#env;
    const breaker = this.#cluster.breakers(this.#rules.priority).retries;
    this.#retry = new RetryState(policy, { clock, random, runtime, counters: this.#facts.counters, breaker });
  }

  #openBody(): void {
    const { body } = this.#exchange.request;
    if (body === undefined) return;
    const isKept = this.#retry !== undefined || this.#mirrors.length > 0 || this.#rules.internalRedirect !== undefined;
    this.#body = new RequestBody(body, {
      limit: isKept ? this.#rules.bufferLimit : undefined,
      onComplete: () => this.#onRequestComplete(),
      onAbandoned: () => this.#onBodyAbandoned(),
    });
  }

  /** Too long to be sent again: the attempt under way is the last. */
  #onBodyAbandoned(): void {
    this.#facts.counters.counters.retry_or_shadow_abandoned.inc();
    this.#retry?.close();
    this.#retry = undefined;
    this.#mirrors = [];
    if (this.#attempts.length === 0 && !this.#isSettled) this.#fail(bufferExceeded());
  }

  /** The client has sent everything: from now on the upstream is waited for. */
  #onRequestComplete(): void {
    if (this.#isOver) return;
    const now = this.#env.clock.monotonic();
    this.#requestDoneAt = now;
    const { totalMs } = this.#timeouts ?? { totalMs: 0 };
    if (totalMs > 0) this.#deadline = this.#env.deadlines.add(totalMs, () => this.#onTimeout(), now);
    if (!this.#isSettled) for (const attempt of this.#attempts) this.#startTimers(attempt);
    for (const mirror of this.#mirrors) {
      sendShadow(this.#env, this.#exchange, { ...mirror, timeoutMs: totalMs, body: this.#body?.whole });
    }
  }

  #startTimers(attempt: Attempt): void {
    const { perTryMs, perTryIdleMs } = this.#timeouts ?? { perTryMs: 0, perTryIdleMs: 0 };
    if (perTryMs > 0 || perTryIdleMs > 0) attempt.startTimers(this.#env.deadlines, perTryMs, perTryIdleMs);
  }

  #tryHost(host: Host): void {
    const rules = this.#rules;
    const { request, info, span } = this.#exchange;
    info.upstreamHost = host;
    info.upstreamTransportFailure = "";
    this.#retryChoice?.tried.push(host);
    if (rules.rewritesHostToUpstreams && host.hostname !== "") {
      // Every attempt names its own host, the client's is told once.
      if (info.attempts === 1) updateAuthority(request, host.hostname, hostOptions(rules, this.#env.suppressesHeaders));
      else request.authority = host.hostname;
    }
    const hasSpan = this.#env.startsSpans || span?.spawnsUpstream === true;
    const attempt = new Attempt({
      ...{ cluster: this.#cluster, host, request, info, observer: this },
      body: this.#body?.open(),
      priority: rules.priority,
      naming: this.#facts.naming,
      isTunnel: rules.terminatesConnect && request.method === "CONNECT",
      span: hasSpan ? span?.spawn(`router ${this.#cluster.name} egress`) : undefined,
    });
    this.#attempts.push(attempt);
    attempt.send();
    if (this.#requestDoneAt !== undefined) this.#startTimers(attempt);
  }

  onAttemptSent(localAddress: string): void {
    const { info } = this.#exchange;
    info.upstreamRequestSentAt ??= this.#env.clock.monotonic();
    info.upstreamLocalAddress = localAddress;
  }

  /** What was told to the client cannot be taken back, hence no retry after it. */
  onAttemptInformation(status: number, headers: HeaderList): void {
    if (this.#isSettled) return;
    this.#retry?.close();
    this.#retry = undefined;
    this.#exchange.inform(status, headers);
  }

  onAttemptFailure(attempt: Attempt, error: UpstreamError): void {
    this.#remove(attempt);
    if (this.#isOver || this.#isSettled) return;
    if (error.failure === "overflow") this.#exchange.info.upstreamHost = error.host;
    if (error.transportFailure !== "") this.#exchange.info.upstreamTransportFailure = error.transportFailure;
    const verdict = attempt.isHedged ? "no" : this.#afterFailure(error);
    if (verdict === "retry") this.#scheduleRetry(undefined, false);
    else this.#failIfAlone(this.#resetReply(error), verdict);
  }

  /** Ends the request, unless another attempt is under way. */
  #failIfAlone(reply: LocalReplyError, verdict: RetryVerdict): void {
    if (this.#attempts.length === 0 && !this.#isPending) this.#fail(reply, flagsOfVerdict[verdict]);
  }

  #afterFailure(error: UpstreamError): RetryVerdict {
    if (this.#retry === undefined || this.#body?.isKept === false) return "no";
    return this.#retry.afterFailure(error.failure, error.isSent);
  }

  #resetReply(error: UpstreamError): LocalReplyError {
    if (error.failure === "max-duration") return maxDurationReached(this.#requestDoneAt !== undefined);
    const isRetried = this.#exchange.info.attempts > 1;
    return resetBeforeResponse(error, { isRetried, suppressesHeaders: this.#env.suppressesHeaders });
  }

  onAttemptTimeout(attempt: Attempt, kind: "try" | "idle"): void {
    if (this.#isOver || (kind === "try" && this.#isSettled)) return;
    const { counters } = this.#facts.counters;
    (kind === "try" ? counters.upstream_rq_per_try_timeout : counters.upstream_rq_per_try_idle_timeout).inc();
    this.#cluster.report(attempt.host, { kind: "local-failure", failure: "timeout" });
    const details = kind === "try" ? "upstream_per_try_timeout" : "upstream_per_try_idle_timeout";
    const hedges = kind === "try" && this.#rules.hedgesOnTimeout && this.#retry !== undefined;
    if (this.#isSettled) this.#breakOff(details);
    else if (hedges) this.#hedge(attempt);
    else this.#giveUp(attempt, timedOut(details, this.#isTimeoutEmpty));
  }

  #giveUp(attempt: Attempt, reply: LocalReplyError): void {
    attempt.cancel();
    this.#remove(attempt);
    const verdict = this.#afterFailure(new UpstreamError("local-reset", { host: attempt.host, isSent: true }));
    if (verdict === "retry") this.#scheduleRetry(undefined, true);
    else this.#failIfAlone(reply, verdict);
  }

  /** The attempt goes on, and another one begins beside it: the first good answer counts. */
  #hedge(attempt: Attempt): void {
    const verdict = this.#retry?.beside() ?? "no";
    for (const flag of flagsOfVerdict[verdict]) this.#exchange.info.responseFlags.add(flag);
    if (verdict !== "retry") return;
    attempt.isHedged = true;
    this.#scheduleRetry(undefined, true);
  }

  #scheduleRetry(headers: HeaderList | undefined, isAfterTimeout: boolean): void {
    const delayMs = this.#retry?.takeDelay(headers) ?? 0;
    this.#isPending = true;
    this.#retryTimer = this.#env.clock.after(delayMs, () => {
      this.#isPending = false;
      if (this.#isOver || this.#isSettled) return;
      if (this.#route.rules.host.marksTimeoutRetries) {
        this.#exchange.request.headers.set("x-envoy-is-timeout-retry", String(isAfterTimeout));
      }
      this.#exchange.info.attempts += 1;
      tellAttempt(this.#exchange, this.#route);
      this.#chooseHost((host) => this.#tryHost(host));
    });
  }

  onAttemptResponse(attempt: Attempt, response: UpstreamResponse): void {
    const verdict = this.#isOver || this.#isSettled ? "drop" : this.#afterResponse(attempt, response);
    if (verdict === "drop" || verdict === "retry") {
      response.body?.cancel();
      attempt.cancel();
      this.#remove(attempt);
      if (verdict === "retry") this.#scheduleRetry(response.headers, false);
      return;
    }
    for (const flag of flagsOfVerdict[verdict]) this.#exchange.info.responseFlags.add(flag);
    this.#winner = attempt;
    if (!this.#redirects(response)) this.#answer(attempt, response);
  }

  /** "drop": another attempt may give something better. */
  #afterResponse(attempt: Attempt, { status, headers }: UpstreamResponse): RetryVerdict | "drop" {
    if (this.#retry === undefined || this.#body?.isKept === false) return "no";
    if (attempt.isHedged && (this.#attempts.length > 1 || this.#isPending)) {
      return this.#retry.wouldRetry(status, headers) ? "drop" : "no";
    }
    const verdict = this.#retry.afterResponse(status, headers);
    if (verdict === "retry") this.#facts.counters.countRetried(status);
    return verdict;
  }

  #redirects(response: UpstreamResponse): boolean {
    const { internalRedirect: policy } = this.#rules;
    const exchange = this.#exchange;
    if (policy === undefined || !policy.statusCodes.has(response.status) || exchange.canRestart !== true) return false;
    const isFollowed = followRedirect(response, {
      ...{ exchange, policy, routeName: this.#route.name, counters: this.#env.counters },
      cluster: this.#facts.counters,
      body: this.#body?.whole,
      isWhole: this.#requestDoneAt !== undefined && (this.#body === undefined || this.#body.whole !== undefined),
    });
    if (!isFollowed) return false;
    // Not counted: only answers that go to clients are.
    response.body?.cancel();
    this.#finish();
    this.#reject(new RestartError());
    return true;
  }

  #answer(attempt: Attempt, response: UpstreamResponse): void {
    const { status, headers } = response;
    const { info } = this.#exchange;
    this.#isSettled = true;
    this.#stopOthers(attempt);
    attempt.stopTryTimer();
    const now = this.#env.clock.monotonic();
    info.upstreamHost = attempt.host;
    info.upstreamResponseAt = now;
    info.upstreamProtocol = response.protocol;
    info.responseCode = status;
    info.responseCodeDetails = "via_upstream";
    if (this.#requestDoneAt !== undefined && !this.#env.suppressesHeaders) {
      headers.set("x-envoy-upstream-service-time", String(Math.floor(now - this.#requestDoneAt)));
    }
    this.#count.answer(status, attempt.host, headers);
    finishHeaders(this.#exchange, this.#route, { headers, cookies: this.#hash.cookies });
    if (response.body === undefined) this.onResponseEnd(undefined);
    else this.#responseBody = new ResponseBody(response.body, this);
    this.#resolve({ status, headers, body: this.#responseBody });
  }

  /** One answer is passed on: no other attempt matters any more. */
  #stopOthers(attempt: Attempt): void {
    for (const other of this.#attempts) if (other !== attempt) other.cancel();
    this.#attempts = [attempt];
    this.#retryTimer?.close();
    this.#isPending = false;
    this.#retry?.close();
    if (this.#mirrors.length === 0 || this.#requestDoneAt !== undefined) this.#body?.forget();
  }

  onResponseChunk(bytes: number): void {
    this.#exchange.info.upstreamBytesReceived += bytes;
    this.#winner?.touch();
  }

  onResponseEnd(_trailers: HeaderList | undefined): void {
    if (this.#isOver) return;
    const now = this.#env.clock.monotonic();
    this.#exchange.info.upstreamResponseEndAt = now;
    if (this.#requestDoneAt !== undefined) this.#count.time(now - this.#requestDoneAt);
    // A server that answers before it has read everything gets no more of it.
    else this.#winner?.cancel();
    this.#finish();
  }

  onResponseAbort(cause: Error): Error {
    if (this.#isOver) return cause;
    const error = cause instanceof UpstreamError ? cause : new UpstreamError("local-reset", { cause });
    // Of what ends at the cluster's max_stream_duration Envoy counts only that.
    if (error.failure !== "max-duration") this.#env.counters.rq_reset_after_downstream_response_started.inc();
    const flag = flagOfFailure[error.failure];
    const details = resetAfterResponse(error);
    this.#exchange.info.responseFlags.add(flag);
    this.#exchange.info.responseCodeDetails = details;
    this.#finish();
    return new ExchangeResetError(details, [flag]);
  }

  onResponseCancel(): void {
    if (this.#isOver) return;
    this.#abandon();
    this.#finish();
  }

  /** The time for all attempts together is over. */
  #onTimeout(): void {
    if (this.#isOver) return;
    this.#facts.counters.counters.upstream_rq_timeout.inc();
    this.#count.timeout();
    if (this.#isSettled) {
      this.#breakOff("response_timeout");
      return;
    }
    for (const { host } of this.#attempts) this.#cluster.report(host, { kind: "local-failure", failure: "timeout" });
    this.#fail(timedOut("response_timeout", this.#isTimeoutEmpty));
  }

  /** Ends an answer that has begun. */
  #breakOff(details: string): void {
    const cause = new ExchangeResetError(details, ["UT"]);
    this.#env.counters.rq_reset_after_downstream_response_started.inc();
    this.#exchange.info.responseFlags.add("UT");
    this.#exchange.info.responseCodeDetails = cause.message;
    this.#abandon();
    this.#finish();
    this.#responseBody?.breakOff(cause);
  }

  #onClientGone(): void {
    if (this.#isOver) return;
    const cause = new ExchangeResetError("downstream_remote_disconnect");
    const isSettled = this.#isSettled;
    this.#abandon();
    this.#body?.cancel(cause);
    this.#finish();
    if (!isSettled) this.#reject(cause);
  }

  /** Ends the request with a reply of the proxy's own. */
  #fail(reply: LocalReplyError, flags: readonly ResponseFlag[] = []): void {
    const { info } = this.#exchange;
    this.#isSettled = true;
    for (const attempt of this.#attempts) attempt.cancel();
    this.#body?.cancel();
    const { status, flags: own } = reply.reply;
    if (own?.includes("UMSDR") !== true) this.#count.answer(status, info.upstreamHost, undefined);
    this.#finish();
    this.#reject(finishReply(this.#exchange, this.#route, { reply, flags }));
  }

  /** Something is wrong in this proxy: nothing is left behind. */
  onAttemptCrash(cause: unknown): void {
    if (this.#isOver) return;
    this.#abandon();
    this.#body?.cancel();
    this.#finish();
    this.#reject(cause instanceof Error ? cause : new Error(String(cause)));
  }

  /** Ends the attempts; how an answer breaks off by that is not why the request ends. */
  #abandon(): void {
    this.#isOver = true;
    for (const attempt of this.#attempts) attempt.cancel();
  }

  /** Nothing happens after this: all that could call is ended. */
  #finish(): void {
    this.#isOver = true;
    this.#deadline?.cancel();
    this.#retryTimer?.close();
    this.#retry?.close();
    this.#stopWaitingForAbort?.();
    this.#winner?.finish();
    const { log } = this.#env;
    if (log !== undefined && this.#exchange.info.attempts > 0) {
      log.log({ info: this.#exchange.info, request: this.#exchange.request, type: "UpstreamEnd" });
    }
  }

  #remove(attempt: Attempt): void {
    this.#attempts = this.#attempts.filter((other) => other !== attempt);
  }
}
