/** Asks the pod's own resolvers what the mesh does not know, over the protocol that the client used. */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { createConnection, isIPv6 } from "node:net";
import type { Clock } from "../../../../src/lib/clock.ts";
import { isAnswerTo, type Query, withId } from "./dns-message.ts";
import { FrameReader, formatFrame } from "./tcp-frames.ts";

export type DnsProtocol = "udp" | "tcp";

export interface ForwarderOptions {
  readonly nameservers: readonly string[];
  readonly port: number;
  /** Asks all at once and takes the first answer, instead of one after the other. */
  readonly parallel: boolean;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Queries that wait for resolvers at the same time; each holds a socket. More are refused at once. */
const maxWaiting = 1000;

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #stopped = new AbortController();
  #waiting = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** The answer of a resolver, under the client's id; undefined where none answered in time, or too many queries wait. */
  async ask(query: Query, protocol: DnsProtocol): Promise<Buffer | undefined> {
    if (this.#waiting >= maxWaiting || this.#stopped.signal.aborted) return undefined;
    this.#waiting += 1;
    try {
      const answer = await (this.#options.parallel ? this.#askAll(query, protocol) : this.#askInOrder(query, protocol));
      return answer === undefined ? undefined : withId(answer, query.message.readUInt16BE(0));
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Ends all waiting; what is still asked for gets no answer. */
  stop(): void {
    this.#stopped.abort();
  }

  async #askInOrder(query: Query, protocol: DnsProtocol): Promise<Buffer | undefined> {
    for (const server of this.#options.nameservers) {
      const answer = await this.#askOne(server, { query, protocol, signal: this.#stopped.signal });
      if (answer !== undefined || this.#stopped.signal.aborted) return answer;
    }
    return undefined;
  }

  async #askAll(query: Query, protocol: DnsProtocol): Promise<Buffer | undefined> {
    const decided = new AbortController();
    const signal = AbortSignal.any([decided.signal, this.#stopped.signal]);
    const calls = this.#options.nameservers.map(async (server) => {
      const answer = await this.#askOne(server, { query, protocol, signal });
      if (answer === undefined) throw new Error("no answer");
      return answer;
    });
    const answer = await Promise.any(calls).catch(() => undefined);
    decided.abort();
    return answer;
  }

  /** One resolver, within the time limit; undefined for every kind of failure. */
  #askOne(server: string, { query, protocol, signal }: Call): Promise<Buffer | undefined> {
    const { clock, timeoutMs, port } = this.#options;
    // An id of our own: clients choose theirs without knowing of each other.
    const id = randomInt(0x1_0000);
    return new Promise((resolve) => {
      const finish = (answer: Buffer | undefined): void => {
        timer.close();
        signal.removeEventListener("abort", abort);
        close();
        resolve(answer);
      };
      const abort = (): void => finish(undefined);
      const timer = clock.after(timeoutMs, abort);
      signal.addEventListener("abort", abort);
      const open = protocol === "udp" ? openUdp : openTcp;
      const close = open({ server, port, message: withId(query.message, id) }, (answer) => {
        // A stray or forged datagram ends nothing: the true answer may follow.
        if (answer === undefined || isAnswerTo(query, id, answer)) finish(answer);
      });
      if (signal.aborted) abort();
    });
  }
}

interface Call {
  readonly query: Query;
  readonly protocol: DnsProtocol;
  readonly signal: AbortSignal;
}

interface Exchange {
  readonly server: string;
  readonly port: number;
  readonly message: Buffer;
}

/** Called with every message that comes back, and with undefined where the connection failed; never before it returns. */
type Receive = (answer: Buffer | undefined) => void;

/** Sends one datagram from a port of its own; gives the function that closes it. */
function openUdp({ server, port, message }: Exchange, receive: Receive): () => void {
  const socket = createSocket(isIPv6(server.replace(/%.*$/, "")) ? "udp6" : "udp4");
  let isOpen = true;
  socket.on("message", (answer) => isOpen && receive(answer));
  socket.on("error", () => isOpen && receive(undefined));
  // Connected: the kernel takes datagrams from that address alone, and reports refused ones.
  socket.connect(port, server, () => {
    if (isOpen) socket.send(message);
  });
  return () => {
    if (!isOpen) return;
    isOpen = false;
    socket.close();
  };
}

function openTcp({ server, port, message }: Exchange, receive: Receive): () => void {
  const socket = createConnection({ host: server, port });
  const frames = new FrameReader();
  socket.on("data", (data) => {
    for (const answer of frames.read(data)) receive(answer);
  });
  socket.on("error", () => receive(undefined));
  socket.on("close", () => receive(undefined));
  socket.write(formatFrame(message));
  return () => {
    socket.removeAllListeners("close");
    socket.destroy();
  };
}
