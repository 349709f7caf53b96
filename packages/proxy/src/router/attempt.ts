/** One attempt to get an answer from one host. */
import type { BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";
import { HeaderList as Headers } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import type { StreamInfo } from "../http/stream-info.ts";
import { AttemptSpan } from "../tracing/attempt-span.ts";
import type { Span } from "../tracing/types.ts";
import {
  type Host,
  type PendingRequest,
  type UpstreamCluster,
  UpstreamError,
  type UpstreamRequest,
  type UpstreamResponse,
} from "../upstream/types.ts";
import type { Deadline, Deadlines } from "./deadlines.ts";
import { readStream, writeStream } from "./stream-body.ts";
import type { UpstreamNaming } from "./upstream-naming.ts";

export interface AttemptObserver {
  onAttemptResponse(attempt: Attempt, response: UpstreamResponse): void;
  onAttemptFailure(attempt: Attempt, error: UpstreamError): void;
  onAttemptTimeout(attempt: Attempt, kind: "try" | "idle"): void;
  onAttemptInformation(status: number, headers: HeaderList): void;
  onAttemptSent(localAddress: string): void;
  /** One of the calls above threw. */
  onAttemptCrash(cause: unknown): void;
}

export interface AttemptOptions {
  readonly cluster: UpstreamCluster;
  readonly host: Host;
  readonly request: HttpRequest;
  /** Is told what the attempt has cost on the wire; that of the last one to end stays. */
  readonly info: StreamInfo;
  readonly body: BodySource | undefined;
  readonly priority: "DEFAULT" | "HIGH";
  readonly naming: UpstreamNaming | undefined;
  /** A CONNECT that ends here. */
  readonly isTunnel: boolean;
  readonly span: Span | undefined;
  readonly observer: AttemptObserver;
}

export class Attempt {
  readonly host: Host;
  readonly #options: AttemptOptions;
  readonly #span: AttemptSpan | undefined;
  #pending: PendingRequest | undefined;
  #tryDeadline: Deadline | undefined;
  #idleDeadline: Deadline | undefined;
  #restartIdle: (() => void) | undefined;
  #hasTimers = false;
  #isOver = false;
  /** Another attempt was made beside it, since it took too long. */
  isHedged = false;

  constructor(options: AttemptOptions) {
    this.host = options.host;
    this.#options = options;
    const { span, cluster, host, info } = options;
    this.#span = span && new AttemptSpan(span, { cluster, host, retries: info.attempts - 1 });
  }

  send(): void {
    const { cluster, host, isTunnel, priority, observer } = this.#options;
    this.#pending = isTunnel ? this.#connect() : cluster.send(host, this.#request(), priority);
    this.#pending.response.then(
      (response) => this.#onResponse(response),
      (cause: unknown) => {
        if (this.#isOver) return;
        const error = toUpstreamError(cause, host);
        this.#span?.fail(error);
        this.finish();
        this.#guard(() => observer.onAttemptFailure(this, error));
      },
    );
  }

  #onResponse(response: UpstreamResponse): void {
    if (this.#isOver) response.body?.cancel();
    else this.#guard(() => this.#options.observer.onAttemptResponse(this, this.#span?.watch(response) ?? response));
  }

  /** Nobody would hear of what is thrown in a promise's callback. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (cause: unknown) {
      this.#options.observer.onAttemptCrash(cause);
    }
  }

  /** Both in milliseconds, 0 for none. */
  startTimers(deadlines: Deadlines, tryMs: number, idleMs: number): void {
    const { observer } = this.#options;
    if (this.#isOver || this.#hasTimers) return;
    this.#hasTimers = true;
    if (tryMs > 0) {
      this.#tryDeadline = deadlines.add(tryMs, () => {
        this.#span?.timeOut();
        observer.onAttemptTimeout(this, "try");
      });
    }
    if (idleMs === 0) return;
    this.#restartIdle = () => {
      this.#idleDeadline?.cancel();
      this.#idleDeadline = deadlines.add(idleMs, () => observer.onAttemptTimeout(this, "idle"));
    };
    this.#restartIdle();
  }

  /** Bytes have come. */
  touch(): void {
    this.#restartIdle?.();
  }

  /** The answer has begun, and is passed on. */
  stopTryTimer(): void {
    this.#tryDeadline?.cancel();
  }

  /** Nobody wants its answer any more. */
  cancel(): void {
    if (this.#isOver) return;
    this.#span?.cancel();
    this.finish();
    this.#pending?.cancel();
  }

  finish(): void {
    this.#isOver = true;
    const traffic = this.#pending?.traffic;
    if (traffic !== undefined) {
      this.#options.info.upstreamBytesSent = traffic.sent;
      this.#options.info.upstreamBytesReceived = traffic.received;
    }
    this.#tryDeadline?.cancel();
    this.#idleDeadline?.cancel();
    this.#restartIdle = undefined;
    this.#span?.finish();
  }

  #request(): UpstreamRequest {
    const { request, body, naming, observer, info } = this.#options;
    this.#span?.inject(request);
    return {
      method: request.method,
      scheme: request.scheme,
      authority: request.authority,
      path: request.path,
      headers: request.headers,
      body,
      upgrade: request.upgrade,
      downstreamProtocol: request.protocol,
      downstream: info.connection,
      ...naming?.(request),
      onInformation: (status, headers) => observer.onAttemptInformation(status, headers),
      onSent: (localAddress) => observer.onAttemptSent(localAddress),
    };
  }

  #connect(): PendingRequest {
    const { cluster, host, body, request, naming, observer, info } = this.#options;
    const abort = new AbortController();
    const names = naming?.(request) ?? {};
    const opened = cluster.connect(host, { downstream: info.connection, signal: abort.signal, ...names });
    const response = opened.then(({ stream, localAddress }): UpstreamResponse => {
      observer.onAttemptSent(localAddress);
      if (body !== undefined) writeStream(body, stream);
      return { status: 200, headers: new Headers(), body: readStream(stream), protocol: "HTTP/1.1" };
    });
    return { response, cancel: () => abort.abort() };
  }
}

function toUpstreamError(cause: unknown, host: Host): UpstreamError {
  return cause instanceof UpstreamError ? cause : new UpstreamError("local-reset", { host, cause });
}
