/**
 * Clients that behave: requests at a steady rate over connections that are kept, over HTTP/1.1 and HTTP/2. The rate does
 * not wait for answers, and times count from when a request was due: what a stalled proxy delays shows in all of them.
 */
import { Agent, request } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import { preferProcess, serveActor } from "./actor.ts";

export interface LoadFigures {
  readonly sent: number;
  readonly answered: number;
  /** What went wrong, with how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** Milliseconds from when a request was due to the end of its answer. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

interface LoadOptions {
  readonly port: number;
  /** Requests a second. */
  readonly rate: number;
}

const tickMs = 2;
const answerTimeoutMs = 60_000;
const every4th = 4;
const agent = new Agent({ keepAlive: true, maxSockets: 24, scheduling: "fifo" });

class Load {
  readonly #options: LoadOptions;
  readonly #times: number[] = [];
  readonly #failures = new Map<string, number>();
  readonly #startedAt = performance.now();
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #sent = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#sendDue(), tickMs);
  }

  async finish(): Promise<LoadFigures> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    const times = this.#times.sort((left, right) => left - right);
    const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
    return {
      sent: this.#sent,
      answered: times.length,
      failures: Object.fromEntries(this.#failures),
      p50: at(0.5),
      p99: at(0.99),
      longest: times.at(-1) ?? 0,
    };
  }

  #sendDue(): void {
    const { rate, port } = this.#options;
    const due = Math.floor(((performance.now() - this.#startedAt) / 1000) * rate);
    while (this.#sent < due) {
      this.#sent += 1;
      const dueAt = this.#startedAt + (this.#sent / rate) * 1000;
      const answer = this.#sent % every4th === 0 ? askHttp2(port) : askHttp1(port);
      const done: Promise<void> = answer
        .then((status) => {
          if (status !== 200) throw new Error(`status ${status}`);
          this.#times.push(performance.now() - dueAt);
        })
        .catch((cause: unknown) => {
          const reason = cause instanceof Error ? cause.message : String(cause);
          this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1);
        })
        .finally(() => this.#pending.delete(done));
      this.#pending.add(done);
    }
  }
}

function askHttp1(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { host: "shop.test" };
    const signal = AbortSignal.timeout(answerTimeoutMs);
    const call = request({ host: "127.0.0.1", port, path: "/small", agent, headers, signal }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}

let session: ClientHttp2Session | undefined;

function askHttp2(port: number): Promise<number> {
  if (session === undefined || session.closed || session.destroyed) {
    session = connect(`http://127.0.0.1:${port}`);
    session.on("error", () => undefined);
  }
  const stream = session.request({ ":path": "/small", ":authority": "shop.test" });
  return new Promise((resolve, reject) => {
    let status = 0;
    stream.setTimeout(answerTimeoutMs, () => stream.destroy(new Error("no answer in time")));
    stream.on("response", (headers) => {
      status = Number(headers[":status"]);
    });
    stream.resume();
    stream.on("error", reject);
    stream.on("end", () => resolve(status));
    stream.on("close", () => reject(new Error(`HTTP/2 stream closed with ${stream.rstCode}`)));
  });
}

let load: Load | undefined;
const commands = {
  begin: (options: LoadOptions) => {
    load = new Load(options);
  },
  end: async (): Promise<LoadFigures> => {
    if (load === undefined) throw new Error("nothing was begun");
    return await load.finish();
  },
};
export type LoadCommands = typeof commands;

preferProcess(process.pid);
serveActor(commands);
