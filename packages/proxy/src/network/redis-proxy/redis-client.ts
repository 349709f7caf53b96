import type { Clock, Timer } from "../../lib/clock.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import type { Host, UpstreamCluster, UpstreamConnection } from "../../upstream/types.ts";
import { encodeError, RespReader, takeRaw } from "./resp.ts";

export interface RedisTarget {
  readonly cluster: UpstreamCluster;
  readonly host: Host;
  readonly downstream: DownstreamConnection;
}

export interface RedisClientOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** The connection is over. */
  readonly onClose: () => void;
}

interface Waiting {
  readonly take: (reply: Buffer) => void;
  readonly timer: Timer;
}

/** One connection to a host, on which commands are answered in order. */
export class RedisClient {
  readonly #options: RedisClientOptions;
  readonly #waiting: Waiting[] = [];
  readonly #abort = new AbortController();
  readonly #unsent: Buffer[] = [];
  #connection: UpstreamConnection | undefined;
  #isClosed = false;

  constructor(target: RedisTarget, options: RedisClientOptions) {
    this.#options = options;
    const { cluster, host, downstream } = target;
    cluster.connect(host, { downstream, signal: this.#abort.signal }).then(
      (connection) => this.#use(connection),
      () => this.close(),
    );
  }

  /** `take` gets the answer, or an error in its place. */
  send(command: Buffer, take: (reply: Buffer) => void): void {
    const timer = this.#options.clock.after(this.#options.timeoutMs, () => this.close());
    this.#waiting.push({ take, timer });
    if (this.#connection === undefined) this.#unsent.push(command);
    else this.#connection.stream.write(command);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#abort.abort();
    this.#connection?.close();
    this.#options.onClose();
    for (const { take, timer } of this.#waiting.splice(0)) {
      timer.close();
      take(encodeError("upstream failure"));
    }
  }

  #use(connection: UpstreamConnection): void {
    if (this.#isClosed) {
      connection.close();
      return;
    }
    this.#connection = connection;
    const { stream } = connection;
    const reader = new RespReader(takeRaw);
    stream.on("error", () => this.close());
    stream.on("close", () => this.close());
    stream.on("end", () => this.close());
    stream.on("data", (chunk: Buffer) => {
      try {
        for (const reply of reader.read(chunk)) this.#answer(reply);
      } catch {
        this.close();
      }
    });
    for (const command of this.#unsent.splice(0)) stream.write(command);
  }

  #answer(reply: Buffer): void {
    const waiting = this.#waiting.shift();
    waiting?.timer.close();
    waiting?.take(reply);
  }
}
