/** A wire between two programs on which everything takes its time, or nothing comes through. */
import { connect, createServer, type Server, type Socket } from "node:net";

export class SlowWire {
  /** How much later than it was sent everything arrives that comes from the target. */
  delayMs = 0;
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((near) => this.#join(near));
  }

  /** Gives the address at this end of the wire. */
  async start(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("the wire has no port");
    return `${this.#target.protocol}//127.0.0.1:${address.port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(near: Socket): void {
    const far = connect(Number(this.#target.port), this.#target.hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    near.pipe(far);
    // Timers of one length fire in the order in which they were set; a shorter one must not overtake a longer one.
    let last = 0;
    far.on("data", (bytes: Buffer) => {
      const now = performance.now();
      last = Math.max(last, now + this.delayMs);
      setTimeout(() => near.write(bytes), last - now);
    });
  }
}
