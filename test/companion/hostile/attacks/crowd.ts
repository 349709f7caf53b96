/** Many connections of one attacker, opened at a bounded pace from several addresses of this machine. */
import { connect, type Socket } from "node:net";

export interface AttackTarget {
  readonly port: number;
  readonly tlsPort: number;
  /** How many there are to be at once, of this process. */
  readonly clients: number;
}

export interface Attack {
  /** How often what came back: "status 431", "reset", "closed", "connected" ... */
  readonly seen: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

export type BeginAttack = (target: AttackTarget) => Promise<Attack>;

export interface CrowdOptions {
  readonly port: number;
  readonly clients: number;
  /** Connections that are opened in a second. */
  readonly perSecond?: number;
  /** Whoever is cut off comes back after some such milliseconds, not all at once; not at all where not given. */
  readonly returnsAfterMs?: number;
  /** Called with each connection that is there. */
  readonly act: (socket: Socket, crowd: Crowd) => void;
}

/** Fewer than the ephemeral ports of one address. */
const addresses = 8;
const turnMs = 10;
/** Of each process. */
const defaultPerSecond = 750;
const statusLine = /^HTTP\/1\.1 (\d{3})/;

export class Crowd implements Attack {
  readonly seen = new Map<string, number>();
  readonly #options: CrowdOptions;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #opened = 0;
  #isStopped = false;

  private constructor(options: CrowdOptions) {
    this.#options = options;
  }

  /** Resolves when all have tried to connect once. */
  static async gather(options: CrowdOptions): Promise<Crowd> {
    const crowd = new Crowd(options);
    const { clients, perSecond = defaultPerSecond } = options;
    await pace(Array.from({ length: clients }), perSecond, () => crowd.#open());
    return crowd;
  }

  note(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  /** Something that goes on until the attack ends. */
  every(periodMs: number, run: () => void): void {
    this.#timers.add(setInterval(run, periodMs));
  }

  get sockets(): ReadonlySet<Socket> {
    return this.#sockets;
  }

  /** All leave, at the pace at which they came. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await pace([...this.#sockets], this.#options.perSecond ?? defaultPerSecond, (socket) => socket.destroy());
  }

  #open(): void {
    if (this.#isStopped) return;
    this.#opened += 1;
    const localAddress = `127.0.0.${2 + (this.#opened % addresses)}`;
    const socket = connect({ port: this.#options.port, host: "127.0.0.1", localAddress, noDelay: true });
    this.#sockets.add(socket);
    socket.once("connect", () => {
      this.note("connected");
      this.#options.act(socket, this);
    });
    socket.once("data", (chunk: Buffer) => {
      const status = statusLine.exec(chunk.toString("latin1"))?.[1];
      if (status !== undefined) this.note(`status ${status}`);
    });
    socket.on("error", (cause: NodeJS.ErrnoException) => this.note(cause.code ?? cause.message));
    socket.once("close", () => this.#onClose(socket));
  }

  #onClose(socket: Socket): void {
    this.#sockets.delete(socket);
    if (this.#isStopped) return;
    this.note("closed");
    const { returnsAfterMs } = this.#options;
    if (returnsAfterMs === undefined) return;
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        this.#open();
      },
      returnsAfterMs * (0.5 + Math.random()),
    );
    this.#timers.add(timer);
  }
}

/** Does it for all. A turn that comes late is not made up for: many at once would be another attack. */
async function pace<Item>(items: readonly Item[], perSecond: number, act: (item: Item) => void): Promise<void> {
  const ofTurn = Math.ceil((perSecond * turnMs) / 1_000);
  for (let from = 0; from < items.length; from += ofTurn) {
    for (const item of items.slice(from, from + ofTurn)) act(item);
    await new Promise((resolve) => setTimeout(resolve, turnMs));
  }
}

/** Of one connection: with more, this machine's own loopback would be what is measured. */
const floodBytesPerSecond = 1_000_000;

/** Writes what `next` gives, again and again, at the speed of a fast line, until the connection is gone. */
export function flood(socket: Socket, next: () => Buffer): void {
  const write = (): void => {
    if (socket.destroyed) return;
    const bytes = next();
    const pauseMs = (bytes.length / floodBytesPerSecond) * 1_000;
    socket.write(bytes, () => setTimeout(write, pauseMs));
  };
  write();
}
