/** A few streams at any time that live through several changes: WebSockets, echoing requests and connections of TCP. */
import type { Draw } from "./draw.ts";
import { allSlots, tcpSlots } from "./draw-listeners.ts";
import { drawRequest } from "./draw-request.ts";
import type { History } from "./history.ts";
import type { Load } from "./load.ts";
import { openHttpPipe, openTcpPipe, type Pipe } from "./pipes.ts";
import type { Records } from "./records.ts";
import type { Report } from "./report.ts";
import { judgeGreeting } from "./tcp-answers.ts";

export interface LongPipesOptions {
  readonly history: History;
  readonly load: Load;
  readonly records: Records;
  readonly report: Report;
  readonly draw: Draw;
  readonly drainMs: number;
}

interface Open {
  readonly pipe: Pipe;
  readonly name: string;
  /** The upstream of a connection of TCP. */
  readonly upstream: string | undefined;
  left: number;
}

const [atOneTime, longestLife, largestChunk] = [6, 12, 8 * 1024];

export class LongPipes {
  readonly #options: LongPipesOptions;
  #open: Open[] = [];
  /** Streams that lived to their end. */
  finished = 0;

  constructor(options: LongPipesOptions) {
    this.#options = options;
  }

  /** Sends something over each, ends those that have lived long enough, and opens others. */
  async step(): Promise<void> {
    const { draw } = this.#options;
    const states = await Promise.all(this.#open.map((each) => this.#stepOne(each)));
    this.#open = this.#open.filter((_each, index) => states[index]);
    while (this.#open.length < atOneTime) {
      const opened = await this.#openOne(draw.random.pick(allSlots));
      if (opened === undefined) break;
      this.#open.push(opened);
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#open.map((each) => this.#stepOne({ ...each, left: 0 })));
    this.#open = [];
  }

  /** True where it lives on. */
  async #stepOne(open: Open): Promise<boolean> {
    const { draw } = this.#options;
    const { pipe, name } = open;
    open.left -= 1;
    try {
      await pipe.step(Buffer.alloc(1 + draw.random.below(largestChunk), `${name} ${open.left} `));
      if (open.left > 0) return true;
      await pipe.finish();
      this.finished += 1;
    } catch (cause: unknown) {
      this.#judgeEnd(open, String(cause));
    }
    pipe.destroy();
    return false;
  }

  #judgeEnd({ pipe, name, upstream }: Open, cause: string): void {
    const { history, load, report, drainMs } = this.#options;
    if (load.lines.drainingForMs(pipe.line).any > drainMs - 500) return;
    const worlds = history.worlds({ first: pipe.first, last: history.pushed });
    if (upstream !== undefined && worlds.some(({ upstreams }) => upstreams.get(upstream) === "down")) return;
    report.fail(`a long stream (${name}) broke: ${cause}`, { first: pipe.first, line: pipe.line });
  }

  async #openOne(slot: string): Promise<Open | undefined> {
    const { draw, history, load, records } = this.#options;
    const left = 1 + draw.random.below(longestLife);
    if ((tcpSlots as readonly string[]).includes(slot)) return this.#openTcp(slot, left);
    const ask = draw.random.chance(35) ? "upgrade" : "echo";
    const request = drawRequest(draw, history.newest, { id: load.nextId(), slot, ask });
    records.open(request.id);
    const pipe = openHttpPipe(load.pipes, request);
    const begun = await pipe.begun;
    load.counts.requests += 1;
    if (begun.kind !== "http") return undefined;
    const { exchange } = begun;
    const isRefused = exchange.outcome === "broken" && load.lines.chains(pipe.line).has(undefined);
    load.note(request, isRefused ? { ...exchange, outcome: "refused" } : exchange);
    const name = `${ask} over ${request.protocol} to ${slot}, request ${request.id}`;
    if (begun.isOpen) return { pipe, name, upstream: undefined, left };
    pipe.destroy();
    return undefined;
  }

  async #openTcp(slot: string, left: number): Promise<Open | undefined> {
    const { history, load, report } = this.#options;
    const pipe = openTcpPipe(load.pipes, slot);
    const begun = await pipe.begun;
    load.counts.requests += 1;
    const upstream = begun.kind === "tcp" ? begun.upstream : undefined;
    const worlds = history.worlds({ first: pipe.first, last: history.pushed });
    const wrong = judgeGreeting(upstream, { worlds, chains: load.lines.chains(pipe.line) });
    if (wrong !== undefined) report.fail(`${slot}: ${wrong}`, { worlds });
    if (upstream === undefined) pipe.destroy();
    return upstream === undefined ? undefined : { pipe, name: `TCP to ${slot} (${upstream})`, upstream, left };
  }
}
