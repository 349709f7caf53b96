import type { NetworkFilterEnv } from "../../config/env.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import { murmurHash2 } from "../../upstream/hash/murmur-hash.ts";
import type { Host } from "../../upstream/types.ts";
import { findCommandKind, hashedPart } from "./commands.ts";
import type { RedisPlan } from "./plan.ts";
import { RedisClient } from "./redis-client.ts";
import type { RedisStats } from "./redis-stats.ts";
import { encodeCommand, encodeError, encodeText, isError, parseCommand, RespReader } from "./resp.ts";

export interface RedisParts {
  readonly plan: RedisPlan;
  readonly stats: RedisStats;
  readonly env: NetworkFilterEnv;
}

/** The place of an answer: they go out in the order of the commands. */
interface Slot {
  reply: Buffer | undefined;
}

type Take = (reply: Buffer) => void;

const ok = Buffer.from("+OK\r\n");
const noUpstream = encodeError("no upstream host");
const invalid = encodeError("invalid request");
/** Commands under way beyond this are not read yet. */
const maxSlots = 1_024;

/** One client. */
export class RedisSession {
  readonly #parts: RedisParts;
  readonly #connection: DownstreamConnection;
  readonly #slots: Slot[] = [];
  readonly #clients = new Map<Host, RedisClient>();
  #isAuthenticated: boolean;
  #isEnding = false;

  constructor(parts: RedisParts, connection: DownstreamConnection) {
    this.#parts = parts;
    this.#connection = connection;
    this.#isAuthenticated = parts.plan.passwords.length === 0;
  }

  start(): void {
    const { stats } = this.#parts;
    const { stream, info } = this.#connection;
    stats.total.inc();
    stats.active.inc();
    this.#connection.onClose(() => {
      stats.active.dec();
      for (const client of [...this.#clients.values()]) client.close();
    });
    const reader = new RespReader(parseCommand);
    stream.on("data", (chunk: Buffer) => {
      stats.receivedBytes.inc(chunk.length);
      info.bytesReceived += chunk.length;
      try {
        for (const words of reader.read(chunk)) this.#run(words);
      } catch {
        stats.protocolError.inc();
        this.#isEnding = true;
        this.#slots.push({ reply: encodeError("downstream protocol error") });
        this.#flush();
      }
      if (this.#slots.length > maxSlots) stream.pause();
    });
    stream.on("end", () => {
      this.#isEnding = true;
      this.#flush();
    });
  }

  #run(words: readonly Buffer[]): void {
    if (this.#isEnding) return;
    const { stats } = this.#parts;
    const slot: Slot = { reply: undefined };
    this.#slots.push(slot);
    stats.requests.inc();
    stats.activeRequests.inc();
    this.#handle(words, (reply) => {
      stats.activeRequests.dec();
      slot.reply = reply;
      this.#flush();
    });
  }

  #handle(words: readonly Buffer[], take: Take): void {
    const { stats } = this.#parts;
    const name = words[0]?.toString("latin1").toLowerCase() ?? "";
    const kind = findCommandKind(name);
    if (kind === "local") {
      take(this.#answerLocally(name, words));
      return;
    }
    if (!this.#isAuthenticated) {
      take(encodeError("NOAUTH Authentication required."));
      return;
    }
    if (kind === undefined) {
      stats.unsupported.inc();
      const rest = words.slice(1).map((word) => `'${word.toString("latin1")}'`);
      take(encodeError(`ERR unknown command '${name}', with args beginning with: ${rest.join(" ")}`));
      return;
    }
    const counters = stats.ofCommand(name);
    counters.total.inc();
    const counted: Take = (reply) => {
      (isError(reply) ? counters.error : counters.success).inc();
      take(reply);
    };
    if (kind === "first-key") this.#sendByKey(words, 1, counted);
    else if (kind === "eval") this.#sendByKey(words, 3, counted);
    else this.#split(kind, words, counted);
  }

  #answerLocally(name: string, words: readonly Buffer[]): Buffer {
    if (name === "auth") return this.#authenticate(words);
    if (name === "quit") {
      this.#isEnding = true;
      return ok;
    }
    if (!this.#isAuthenticated) return encodeError("NOAUTH Authentication required.");
    const argument = words[1];
    if (name === "ping" && argument === undefined) return Buffer.from("+PONG\r\n");
    if (argument !== undefined && words.length === 2) return encodeText(argument);
    this.#parts.stats.invalid.inc();
    return invalid;
  }

  #authenticate(words: readonly Buffer[]): Buffer {
    const { passwords } = this.#parts.plan;
    if (words.length !== 2) return invalid;
    if (passwords.length === 0) return encodeError("ERR Client sent AUTH, but no password is set");
    const isRight = passwords.includes(words[1]?.toString("utf8") ?? "");
    this.#isAuthenticated = isRight;
    return isRight ? ok : encodeError("ERR invalid password");
  }

  /** The key at `place` decides on the host. */
  #sendByKey(words: readonly Buffer[], place: number, take: Take): void {
    const key = words[place];
    if (key === undefined) {
      this.#parts.stats.invalid.inc();
      take(invalid);
      return;
    }
    const text = key.toString("utf8");
    const route = this.#parts.plan.findRoute(text);
    const cluster = route && this.#parts.env.clusters.find(route.cluster);
    if (route === undefined || cluster === undefined) {
      take(noUpstream);
      return;
    }
    const sent = route.cutLength === 0 ? words : words.with(place, Buffer.from(text.slice(route.cutLength)));
    const hash = murmurHash2(hashedPart(text.slice(route.cutLength), this.#parts.plan.usesTags));
    const chosen = async (): Promise<Host> => cluster.chooseHost({ hash, downstream: this.#connection });
    chosen().then(
      (host) => {
        this.#connection.info.upstreamHost = host;
        const client = this.#clients.get(host) ?? this.#open(host, cluster);
        client.send(encodeCommand(sent), take);
      },
      () => take(noUpstream),
    );
  }

  #open(host: Host, cluster: ConstructorParameters<typeof RedisClient>[0]["cluster"]): RedisClient {
    const client = new RedisClient(
      { cluster, host, downstream: this.#connection },
      {
        clock: this.#parts.env.clock,
        timeoutMs: this.#parts.plan.opTimeoutMs,
        onClose: () => this.#clients.delete(host),
      },
    );
    this.#clients.set(host, client);
    return client;
  }

  /** A command for each key, and one answer of all of theirs. */
  #split(kind: "sum" | "list" | "pairs", words: readonly Buffer[], take: Take): void {
    const [name = Buffer.alloc(0), ...rest] = words;
    const step = kind === "pairs" ? 2 : 1;
    if (rest.length === 0 || rest.length % step !== 0) {
      this.#parts.stats.invalid.inc();
      take(invalid);
      return;
    }
    const single = { sum: name, list: Buffer.from("get"), pairs: Buffer.from("set") }[kind];
    const count = rest.length / step;
    const replies = new Array<Buffer>(count);
    let left = count;
    for (let index = 0; index < count; index += 1) {
      this.#sendByKey([single, ...rest.slice(index * step, (index + 1) * step)], 1, (reply) => {
        replies[index] = reply;
        left -= 1;
        if (left === 0) take(join(kind, replies));
      });
    }
  }

  /** What is answered goes out, as far as all before it is. */
  #flush(): void {
    const { stats } = this.#parts;
    const { stream, info } = this.#connection;
    const ready: Buffer[] = [];
    while (this.#slots[0]?.reply !== undefined) ready.push(this.#slots.shift()?.reply ?? ok);
    if (ready.length > 0 && !stream.destroyed) {
      const bytes = Buffer.concat(ready);
      stats.sentBytes.inc(bytes.length);
      info.bytesSent += bytes.length;
      stream.write(bytes);
    }
    if (this.#isEnding && this.#slots.length === 0) this.#connection.close("flush");
    else if (this.#slots.length <= maxSlots && stream.isPaused()) stream.resume();
  }
}

function join(kind: "sum" | "list" | "pairs", replies: readonly Buffer[]): Buffer {
  if (kind === "list") return Buffer.concat([Buffer.from(`*${replies.length}\r\n`), ...replies]);
  const failed = replies.filter(isError).length;
  if (failed > 0) return encodeError(`finished with ${failed} error(s)`);
  if (kind === "pairs") return ok;
  const sum = replies.reduce((total, reply) => total + Number(reply.toString("latin1", 1)), 0);
  return Buffer.from(`:${sum}\r\n`);
}
