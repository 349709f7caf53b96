/** Connections of clients to the proxy, with what is known of the listener that took each. */
import { connect, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { History } from "./history.ts";
import type { ChainSpec } from "./world.ts";

export interface Line {
  readonly slot: string;
  readonly sni: string | undefined;
  /** Number of the world that held when it was opened. */
  readonly first: number;
  /** Chains that may have taken it, undefined among them where nothing may have listened; not known before its first answer. */
  taken: ReadonlySet<ChainSpec | undefined> | undefined;
  /** It is ours to end now, or what came over it gives the proxy reason to. */
  mayEnd: boolean;
  /** An answer is on its way over it: an end shows there. */
  isBusy: boolean;
}

export interface LineOptions {
  readonly history: History;
  /** Ports of slots. */
  readonly ports: ReadonlyMap<string, number>;
  readonly fail: (what: string) => void;
}

export class Lines {
  readonly #options: LineOptions;
  readonly #lines = new WeakMap<object, Line>();
  readonly #sockets = new Set<Socket>();

  constructor(options: LineOptions) {
    this.#options = options;
  }

  /** A connection on its way; with TLS where the slot has it. */
  open(slot: string, sni: string | undefined, protocol: "http1" | "http2" | "tcp"): Socket {
    const { history, ports } = this.#options;
    const line: Line = { slot, sni, first: history.settled, taken: undefined, mayEnd: false, isBusy: false };
    const target = { host: "127.0.0.1", port: ports.get(slot) ?? 0 };
    const socket = slot.startsWith("tls")
      ? this.#openTls(line, target, protocol)
      : connect({ ...target, allowHalfOpen: protocol === "tcp" });
    this.#lines.set(socket, line);
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("end", () => this.#judgeEnd(line));
    return socket;
  }

  of(socket: object | null | undefined): Line {
    const line = socket === null || socket === undefined ? undefined : this.#lines.get(socket);
    if (line === undefined) throw new Error("a connection that nobody opened");
    return line;
  }

  /** An answer came: whatever took the connection has taken it by now. */
  answered(line: Line): void {
    line.taken ??= this.chains(line);
  }

  /** Chains that may have taken it; undefined among them where nothing may have listened. */
  chains({ slot, sni, first, taken }: Line): ReadonlySet<ChainSpec | undefined> {
    const { history } = this.#options;
    return taken ?? history.chains({ first, last: history.pushed }, slot, sni);
  }

  /** True where the proxy may want it to end: what took it is no longer what is configured. */
  isDraining(line: Line): boolean {
    const { history } = this.#options;
    return [...this.chains(line)].some((chain) => chain === undefined || history.endedForMs(chain) !== undefined);
  }

  /** Milliseconds since what may have taken it is gone: all of that, and any of that. 0 where something is not, or nothing. */
  drainingForMs(line: Line): { readonly all: number; readonly any: number } {
    const { history } = this.#options;
    const times = [...this.chains(line)].map((chain) => (chain === undefined ? 0 : (history.endedForMs(chain) ?? 0)));
    return { all: Math.min(...times), any: Math.max(...times) };
  }

  close(): void {
    for (const socket of this.#sockets) {
      const line = this.#lines.get(socket);
      if (line !== undefined) line.mayEnd = true;
      socket.destroy();
    }
  }

  #openTls(line: Line, target: { readonly host: string; readonly port: number }, protocol: string): TLSSocket {
    const { sni, slot } = line;
    const { history, fail } = this.#options;
    const socket = connectTls({
      ...target,
      ...(sni === undefined ? {} : { servername: sni }),
      ALPNProtocols: [protocol === "http2" ? "h2" : "http/1.1"],
      // Which certificate comes is compared by name.
      rejectUnauthorized: false,
    });
    socket.once("secureConnect", () => {
      const name = socket.getPeerCertificate().subject.CN;
      const worlds = history.worlds({ first: line.first, last: history.pushed });
      const chains = history.chains({ first: line.first, last: history.pushed }, slot, sni);
      const allowed = new Set(
        [...chains].flatMap((chain) =>
          chain?.kind === "http" && chain.secret !== undefined
            ? worlds.map(({ certificates }) => certificates.get(chain.secret ?? ""))
            : [],
        ),
      );
      if (!allowed.has(String(name)))
        fail(`${slot} (${sni ?? "no name"}) showed the certificate ${name}, not ${[...allowed].join(" or ")}`);
    });
    return socket;
  }

  /** A proxy has no reason to end connections that it has not answered badly and whose chain is still there. */
  #judgeEnd(line: Line): void {
    if (line.mayEnd || line.isBusy || line.taken === undefined || this.isDraining(line)) return;
    this.#options.fail(
      `the proxy ended a connection to ${line.slot} (${line.sni ?? "no name"}) though its chain is unchanged`,
    );
  }
}
