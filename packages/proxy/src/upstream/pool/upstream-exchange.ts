/** One request in a pool: waiting for a connection, on one, or over. */
import type { Timer } from "../../lib/clock.ts";
import type { CircuitBreakers, Host, PendingRequest, Traffic, UpstreamRequest, UpstreamResponse } from "../types.ts";
import { UpstreamError } from "../types.ts";
import type { HostCounts, PoolStats } from "./pool-stats.ts";
import type { PooledConnection } from "./pooled-connection.ts";

/** What a request needs of its pool. */
export interface ExchangeOwner {
  readonly host: Host;
  readonly stats: PoolStats;
  readonly counts: HostCounts;
  readonly breakers: CircuitBreakers;
  /** Takes it out of the queue. */
  forget(exchange: UpstreamExchange): void;
}

export class UpstreamExchange implements PendingRequest, Traffic {
  readonly request: UpstreamRequest;
  readonly response: Promise<UpstreamResponse>;
  /** Ends the request when it has taken too long; closed with it. */
  timer: Timer | undefined;
  /** Counted by the connection that it is on. */
  sent = 0;
  received = 0;
  /** Where it is on a connection that carries several at a time. */
  stream: { abort(cause: undefined, error: UpstreamError): void } | undefined;
  readonly #owner: ExchangeOwner;
  #resolve: (response: UpstreamResponse) => void = doNothing;
  #reject: (cause: Error) => void = doNothing;
  #connection: PooledConnection | undefined;
  #state: "pending" | "active" | "over" = "pending";
  #isAnswered = false;

  constructor(request: UpstreamRequest, owner: ExchangeOwner) {
    this.request = request;
    this.#owner = owner;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** It goes out over `connection`. Its place among the active requests has been taken. */
  activate(connection: PooledConnection): void {
    this.#state = "active";
    this.#connection = connection;
    const { stats, counts } = this.#owner;
    stats.upstream_rq_total.inc();
    stats.upstream_rq_active.inc();
    counts.rq_total++;
    counts.rq_active++;
  }

  get traffic(): Traffic {
    return this;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  answer(response: UpstreamResponse): void {
    const { counts } = this.#owner;
    this.#isAnswered = true;
    if (response.status >= 500) counts.rq_error++;
    else counts.rq_success++;
    this.#resolve(response);
  }

  /** It is over, and frees its place: both directions are done, or one has broken off. */
  end(): void {
    if (this.#state === "active") {
      const { stats, counts, breakers } = this.#owner;
      stats.upstream_rq_active.dec();
      counts.rq_active--;
      breakers.requests.release();
    }
    this.#state = "over";
    this.#connection = undefined;
    this.timer?.close();
  }

  /** Ends it with an error, which is nobody's any more where it was answered: then its body tells. */
  fail(error: UpstreamError): void {
    if (!this.#isAnswered && this.#state !== "over" && !isOwn(error)) this.#owner.counts.rq_error++;
    this.end();
    this.#reject(error);
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  /** It has taken too long: unlike with cancel(), somebody waits for an answer. */
  expire(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const error = new UpstreamError("max-duration", { host: this.#owner.host, isSent: true });
    this.fail(error);
    connection.abort(this, error);
  }

  cancel(): void {
    if (this.#state === "over") return;
    const connection = this.#connection;
    // Whoever cancels need not listen.
    this.response.catch(doNothing);
    if (this.#state === "pending") {
      this.#owner.forget(this);
      this.#owner.stats.upstream_rq_cancelled.inc();
    }
    const error = new UpstreamError("local-reset", { host: this.#owner.host, isSent: connection !== undefined });
    this.fail(error);
    connection?.abort(this, error);
  }
}

/** Ended from here: that says nothing of the host. */
function isOwn({ failure }: UpstreamError): boolean {
  return failure === "local-reset" || failure === "max-duration";
}

function doNothing(): void {
  // Settled by the executor at once; here for the fields' first values.
}
