/** A network link between proxies and the control plane that can be cut without either end being told. */
import { connect, createServer, type Server, type Socket } from "node:net";

export interface TcpLink {
  /** "127.0.0.1:PORT", which leads to the target. */
  readonly address: string;
  /** From now on nothing passes in either direction, and nobody is told that a connection ended. */
  freeze(): void;
  /** What was held up arrives, late. */
  thaw(): void;
  /** What was opened before is lost for good: both ends are told now. New connections pass. */
  heal(): void;
  stop(): Promise<void>;
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/** Opens a link to "host:port". */
export async function openTcpLink(target: string): Promise<TcpLink> {
  const link = new Link(target);
  await link.start();
  return link;
}

class Link implements TcpLink {
  address = "";
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #isFrozen = false;

  constructor(target: string) {
    const { hostname, port } = new URL(`tcp://${target}`);
    this.#target = { host: hostname, port: Number(port) };
    this.#server = createServer({ allowHalfOpen: true }, (near) => this.#join(near));
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("the link has no port");
    this.address = `127.0.0.1:${address.port}`;
  }

  freeze(): void {
    this.#isFrozen = true;
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const { near, far } of this.#pairs) {
      near.resume();
      far.resume();
    }
  }

  heal(): void {
    this.#isFrozen = false;
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
    this.#pairs.clear();
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.heal();
    await closed;
  }

  #join(near: Socket): void {
    const far = connect({ ...this.#target, allowHalfOpen: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (bytes) => void to.write(bytes));
      from.on("error", () => this.#part(pair));
      from.on("close", () => this.#part(pair));
      from.on("end", () => this.#part(pair));
      if (this.#isFrozen) from.pause();
    }
  }

  /** An end that goes while the link is frozen is not told to the other. */
  #part(pair: Pair): void {
    if (this.#isFrozen) return;
    this.#pairs.delete(pair);
    pair.near.destroy();
    pair.far.destroy();
  }
}
