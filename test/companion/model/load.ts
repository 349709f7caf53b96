/** Requests of every kind through the proxy, each judged as its answer comes and once more when all of it is over. */
import { listAlternatives, predictIn } from "./alternatives.ts";
import type { Draw } from "./draw.ts";
import { allSlots, tcpSlots } from "./draw-listeners.ts";
import { drawRequest } from "./draw-request.ts";
import type { Exchange } from "./exchange.ts";
import type { Expectation } from "./expectation.ts";
import type { History } from "./history.ts";
import { Http1Client } from "./http1-client.ts";
import { Http2Client } from "./http2-client.ts";
import { judge } from "./judge.ts";
import { Lines } from "./lines.ts";
import { Patterns } from "./patterns.ts";
import { openTcpPipe, type PipeOptions } from "./pipes.ts";
import type { Records } from "./records.ts";
import type { Report } from "./report.ts";
import type { Ask, ModelRequest } from "./request.ts";
import { judgeGreeting } from "./tcp-answers.ts";
import { findChain } from "./world.ts";

export interface LoadOptions {
  readonly history: History;
  readonly records: Records;
  readonly report: Report;
  readonly draw: Draw;
  readonly ports: ReadonlyMap<string, number>;
  /** After this a connection of a chain that is gone may be ended in the middle of a request. */
  readonly drainMs: number;
}

export interface LoadCounts {
  requests: number;
  /** Sent once more: their connection was ended by its drain as they came, and no upstream saw them. */
  raced: number;
  /** Ended in the middle by the end of the time for draining. */
  cut: number;
  tcp: number;
  cancelled: number;
}

interface Pending {
  readonly request: ModelRequest;
  readonly exchange: Exchange;
  readonly expectations: readonly Expectation[];
  /** Number of the step after which it is looked at once more. */
  readonly lastRound: number;
}

/** Steps after which nothing of a request is under way any more. */
const restRounds = 6;
/** Of a stream, which lives long and may be copied when it is over. */
const streamRounds = 20;
const mostTries = 4;
/** What a crowded machine may take to end connections after the time they have. */
const drainSlackMs = 5000;

export class Load {
  readonly counts: LoadCounts = { requests: 0, raced: 0, cut: 0, tcp: 0, cancelled: 0 };
  readonly lines: Lines;
  readonly pipes: PipeOptions;
  readonly patterns = new Patterns();
  readonly #options: LoadOptions;
  readonly #http1: Http1Client;
  readonly #http2: Http2Client;
  #pending: Pending[] = [];
  #lastId = 0;
  #round = 0;
  #running: Promise<unknown> = Promise.resolve();
  #isStopped = true;

  constructor(options: LoadOptions) {
    const { history, ports, report } = options;
    const fail = (what: string): void => report.fail(what);
    this.#options = options;
    this.lines = new Lines({ history, ports, fail });
    this.#http1 = new Http1Client(this.lines, history);
    this.#http2 = new Http2Client({ lines: this.lines, history, fail });
    this.pipes = { lines: this.lines, history, http1: this.#http1, http2: this.#http2 };
  }

  start(workers: number): void {
    this.#isStopped = false;
    this.#running = Promise.all(Array.from({ length: workers }, () => this.#work()));
  }

  /** Resolves when the last answer is there. */
  async pause(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  close(): void {
    this.#http1.close();
    this.#http2.close();
    this.lines.close();
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Looks once more at requests that are long over. */
  nextRound(): void {
    this.#round += 1;
    this.#review(this.#pending.filter(({ lastRound }) => lastRound < this.#round));
    this.#pending = this.#pending.filter(({ lastRound }) => lastRound >= this.#round);
  }

  /** The same for all, with nothing under way. */
  reviewAll(): void {
    this.#review(this.#pending);
    this.#pending = [];
  }

  /** Judges an answer; the rest of what is to be known of it comes later. */
  note(request: ModelRequest, exchange: Exchange): void {
    const { history, records, report } = this.#options;
    const span = { first: exchange.first, last: exchange.last };
    const chains = this.lines.chains(exchange.line);
    const expectations = listAlternatives({ history, request, chains, span });
    const attempts = records.attempts(request.id);
    const goneForMs = this.lines.drainingForMs(exchange.line).all - exchange.elapsedMs;
    if (goneForMs > this.#options.drainMs + drainSlackMs) {
      report.fail(`a connection was served ${goneForMs} ms after its chain was gone`, { request, exchange });
    }
    const { fitting, faults } = judge(expectations, { request, exchange, attempts, isOver: false });
    if (fitting.length > 0) {
      const wrong = span.first === span.last ? this.patterns.note(fitting, attempts) : undefined;
      if (wrong !== undefined) report.fail(wrong, { request, attempts, fitting, worlds: history.worlds(span) });
      const isStream = request.ask === "echo" || request.ask === "upgrade";
      const lastRound = this.#round + (isStream ? streamRounds : restRounds);
      this.#pending.push({ request, exchange, expectations: fitting, lastRound });
      return;
    }
    const worlds = history.worlds(span);
    report.fail(faults[0] ?? "nothing is expected", {
      request,
      exchange,
      attempts,
      faults,
      expectations,
      chains,
      worlds,
    });
  }

  async #work(): Promise<void> {
    while (!this.#isStopped && !this.#options.report.isFull) {
      const { random } = this.#options.draw;
      const slot = random.pick(allSlots);
      // Where nothing listens there is little to ask.
      if (!this.#options.history.newest.listeners.has(slot) && !random.chance(20)) continue;
      if ((tcpSlots as readonly string[]).includes(slot)) await this.#askTcp(slot);
      else await this.#ask(slot);
    }
  }

  async #ask(slot: string): Promise<void> {
    const { draw, records } = this.#options;
    const request = this.#drawRequest(slot);
    this.counts.requests += 1;
    records.open(request.id);
    const cancelAfterMs = draw.random.below(25);
    for (let tries = 1; ; tries++) {
      const client = request.protocol === "http2" ? this.#http2 : this.#http1;
      const exchange = this.#asRefused(await client.send(request, cancelAfterMs));
      if (exchange.outcome === "cancelled") this.counts.cancelled += 1;
      const drained = this.#judgeDrain(request, exchange);
      if (drained === "no") return this.note(request, exchange);
      if (drained === "cut") {
        // Its record stays: what was under way may still come to upstreams.
        this.counts.cut += 1;
        return;
      }
      if (tries === mostTries) return this.note(request, exchange);
      this.counts.raced += 1;
    }
  }

  #drawRequest(slot: string): ModelRequest {
    const { draw, history } = this.#options;
    const wish = draw.random.below(100);
    const ask: Ask = wish < 4 ? "cancel" : "answer";
    const request = drawRequest(draw, history.newest, { id: this.nextId(), slot, ask });
    if (wish < 90) return request;
    const stalling = { ...request, ask: "stall" as const };
    const chain = findChain(history.newest, slot, request.sni);
    if (chain?.kind !== "http") return request;
    // Only where a route has an end to it.
    const isBounded = predictIn(stalling, chain, history.newest).some(
      (each) => each.kind === "local" && each.status === 504,
    );
    return isBounded ? stalling : request;
  }

  /** A connection that was in the queue of a listener that went away ends without a word. */
  #asRefused(exchange: Exchange): Exchange {
    const { outcome, line } = exchange;
    const isRefused = outcome === "broken" && line.taken === undefined && this.lines.chains(line).has(undefined);
    return isRefused ? { ...exchange, outcome: "refused" } : exchange;
  }

  /**
   * "raced": what HTTP lets happen to whoever sends on a connection as the other side ends it: nothing was done, and it is
   * sent anew. "cut": the time for draining was over before the answer was there.
   */
  #judgeDrain({ id }: ModelRequest, { outcome, line, error }: Exchange): "raced" | "cut" | "no" {
    const { records, drainMs } = this.#options;
    if (outcome !== "broken" || !this.lines.isDraining(line)) return "no";
    const isOver = this.lines.drainingForMs(line).any > drainMs - 500;
    if (records.attempts(id).length > 0) return isOver ? "cut" : "no";
    // A stream that a goodbye crossed was not begun (RFC 9113, section 8.7), also on a connection without an answer yet.
    const isRefused = error.includes("REFUSED_STREAM");
    return isOver || isRefused || line.taken !== undefined ? "raced" : "no";
  }

  async #askTcp(slot: string): Promise<void> {
    const { history, report, draw } = this.#options;
    this.counts.requests += 1;
    this.counts.tcp += 1;
    const pipe = openTcpPipe(this.pipes, slot);
    const begun = await pipe.begun;
    const worlds = history.worlds({ first: pipe.first, last: history.pushed });
    const upstream = begun.kind === "tcp" ? begun.upstream : undefined;
    const wrong = judgeGreeting(upstream, { worlds, chains: this.lines.chains(pipe.line) });
    if (wrong !== undefined) report.fail(`${slot}: ${wrong}`, { worlds });
    if (upstream === undefined) return;
    try {
      await pipe.step(Buffer.alloc(1 + draw.random.below(20_000), upstream));
      await pipe.finish();
    } catch (cause: unknown) {
      const isOut = history
        .worlds({ first: pipe.first, last: history.pushed })
        .some(({ upstreams }) => upstreams.get(upstream) === "down");
      if (!isOut) report.fail(`${slot}: a connection to ${upstream}: ${String(cause)}`);
    } finally {
      pipe.destroy();
    }
  }

  #review(pendings: readonly Pending[]): void {
    const { records, report } = this.#options;
    for (const { request, exchange, expectations } of pendings) {
      const attempts = records.attempts(request.id);
      const { faults } = judge(expectations, { request, exchange, attempts, isOver: true });
      if (faults.length > 0)
        report.fail(`when all was over: ${faults[0]}`, { request, exchange, attempts, expectations });
      records.close(request.id, { request, exchange, expectations });
    }
    for (const { what, details } of records.strangers.splice(0)) report.fail(what, details);
  }
}
