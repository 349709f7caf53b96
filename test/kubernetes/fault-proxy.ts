/**
 * A proxy before the API server that breaks things on purpose: it answers in the server's place, cuts, freezes or changes
 * what comes. TLS on both sides; it shows the server's own certificate.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, request, type Server } from "node:https";
import type { Socket } from "node:net";
import { Transform } from "node:stream";

/** One request as it came, with what a rule needs to choose. */
export interface ProxiedRequest {
  readonly method: string;
  /** Path without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly isWatch: boolean;
  /** Bearer token, for the faults of credentials. */
  readonly token: string;
  /** Compression that the answer had; "" where it had none, or as long as there is no answer. */
  encoding: string;
  /** When it came, on the monotonic clock. */
  readonly atMs: number;
}

/** What is done to a request. */
export type Fault =
  | {
      readonly do: "answer";
      readonly status: number;
      readonly body: object;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The connection ends with RST, before or in the middle of the answer. */
  | { readonly do: "reset" }
  /** Taken in, never answered, never closed. */
  | { readonly do: "swallow" }
  /** Passed on when the promise is settled: something happens in between. */
  | { readonly do: "wait"; readonly until: Promise<unknown> }
  /** Passed on; every chunk of the answer goes through `chunk`, which returns what goes out in its place. */
  | { readonly do: "change"; readonly chunk: (bytes: Buffer) => readonly Buffer[] }
  /** Passed on to another query. */
  | { readonly do: "ask"; readonly query: URLSearchParams };

export interface FaultProxy {
  /** "https://127.0.0.1:PORT". */
  readonly url: string;
  /** Everything that was asked, in order. */
  readonly requests: readonly ProxiedRequest[];
  /** Chooses the fault of each request from now on; undefined passes everything on. */
  rule: ((request: ProxiedRequest) => Fault | undefined) | undefined;
  /** Cuts every connection with RST. */
  resetAll(): void;
  /** Ends every answer that is under way (or those of one path) in an orderly way, as a server does that is asked to. */
  endAnswers(path?: string): void;
  /** Freezes: connections stay, nothing passes any more in either direction, until thaw(). */
  freeze(): void;
  thaw(): void;
  /** Cuts every connection and takes no new one: nobody listens, until accept(). */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  /** Writes bytes into every watch of this path that is under way. */
  inject(path: string, bytes: Buffer): number;
  /** Watches that are under way. */
  listWatches(): readonly ProxiedRequest[];
  /** Passes on to another server from the next request on; it must show the same certificate. */
  retarget(url: string): void;
  stop(): Promise<void>;
}

interface Open {
  readonly asked: ProxiedRequest;
  readonly answer: ServerResponse;
  readonly upstream: IncomingMessage;
}

/** The server behind it, and what it shows to prove itself. */
export interface FaultTarget {
  readonly url: string;
  readonly certificate: Buffer;
  readonly key: Buffer;
}

/** Starts a proxy before the server. */
export async function startFaultProxy(target: FaultTarget): Promise<FaultProxy> {
  const proxy = new BreakingProxy(target);
  await proxy.start();
  return proxy;
}

class BreakingProxy implements FaultProxy {
  readonly requests: ProxiedRequest[] = [];
  rule: FaultProxy["rule"];
  url = "";
  #target: FaultTarget;
  readonly #agent = new Agent({ keepAlive: true });
  /** Below TLS, where a connection can be reset, by the port of the other end. */
  readonly #sockets = new Map<number, Socket>();
  readonly #open = new Set<Open>();
  readonly #server: Server;
  #isFrozen = false;

  constructor(target: FaultTarget) {
    this.#target = target;
    const { certificate, key } = target;
    this.#server = createServer({ cert: certificate, key }, (incoming, answer) => this.#handle(incoming, answer));
  }

  async start(): Promise<void> {
    this.#server.on("tlsClientError", () => undefined);
    this.#server.on("connection", (socket: Socket) => {
      const { remotePort = 0 } = socket;
      this.#sockets.set(remotePort, socket);
      socket.on("close", () => this.#sockets.delete(remotePort));
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("the proxy has no port");
    this.url = `https://127.0.0.1:${address.port}`;
  }

  resetAll(): void {
    for (const socket of this.#sockets.values()) socket.resetAndDestroy();
  }

  endAnswers(path?: string): void {
    for (const { asked, answer, upstream } of this.#open) {
      if (path !== undefined && asked.path !== path) continue;
      upstream.unpipe();
      answer.end();
    }
  }

  freeze(): void {
    this.#isFrozen = true;
    for (const { upstream } of this.#open) upstream.unpipe();
  }

  thaw(): void {
    // What was frozen stays lost, as packets are that a firewall dropped; its ends find out by themselves.
    this.#isFrozen = false;
  }

  async refuse(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.resetAll();
    await closed;
  }

  accept(): Promise<void> {
    return new Promise((resolve) => void this.#server.listen(Number(new URL(this.url).port), "127.0.0.1", resolve));
  }

  inject(path: string, bytes: Buffer): number {
    const watches = [...this.#open].filter(({ asked }) => asked.isWatch && asked.path === path);
    for (const { answer } of watches) answer.write(bytes);
    return watches.length;
  }

  listWatches(): readonly ProxiedRequest[] {
    return [...this.#open].map(({ asked }) => asked).filter(({ isWatch }) => isWatch);
  }

  retarget(url: string): void {
    this.#target = { ...this.#target, url };
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#agent.destroy();
    await closed;
  }

  #reset(socket: Socket | null): void {
    this.#sockets.get(socket?.remotePort ?? 0)?.resetAndDestroy();
  }

  #handle(incoming: IncomingMessage, answer: ServerResponse): void {
    const asked = describe(incoming);
    this.requests.push(asked);
    if (this.#isFrozen) return;
    const fault = this.rule?.(asked);
    switch (fault?.do) {
      case "swallow":
        return;
      case "reset":
        this.#reset(incoming.socket);
        return;
      case "answer":
        incoming.resume();
        answer.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
        answer.end(JSON.stringify(fault.body));
        return;
      case "wait":
        void fault.until.finally(() => this.#forward(incoming, answer, { asked, fault: undefined }));
        return;
      default:
        this.#forward(incoming, answer, { asked, fault });
    }
  }

  #forward(incoming: IncomingMessage, answer: ServerResponse, { asked, fault }: Forwarded): void {
    const { url, certificate } = this.#target;
    const query = fault?.do === "ask" ? fault.query : asked.query;
    const path = query.size === 0 ? asked.path : `${asked.path}?${query}`;
    const headers = { ...incoming.headers, host: new URL(url).host };
    // Changing bytes needs to see them: no compression then.
    if (fault?.do === "change") headers["accept-encoding"] = "identity";
    // The certificate is pinned; its names do not matter.
    const tls = { ca: certificate, checkServerIdentity: () => undefined };
    const outgoing = request(`${url}${path}`, { method: asked.method, headers, agent: this.#agent, ...tls });
    outgoing.on("response", (upstream) => this.#answer({ asked, answer, upstream }, fault));
    outgoing.on("error", () => this.#reset(incoming.socket));
    incoming.pipe(outgoing);
  }

  #answer(entry: Open, fault: Fault | undefined): void {
    const { asked, answer, upstream } = entry;
    asked.encoding = upstream.headers["content-encoding"] ?? "";
    // Whoever asked is gone already.
    if (answer.destroyed) return void upstream.destroy();
    this.#open.add(entry);
    answer.on("close", () => {
      this.#open.delete(entry);
      upstream.destroy();
    });
    answer.writeHead(upstream.statusCode ?? 502, upstream.headers);
    answer.flushHeaders();
    upstream.on("error", () => answer.destroy());
    // A server that is killed must look killed, not finished.
    upstream.on("aborted", () => this.#reset(answer.socket));
    if (this.#isFrozen) return;
    if (fault?.do === "change") upstream.pipe(changer(fault.chunk)).pipe(answer);
    else upstream.pipe(answer);
  }
}

interface Forwarded {
  readonly asked: ProxiedRequest;
  readonly fault: Fault | undefined;
}

function describe(incoming: IncomingMessage): ProxiedRequest {
  const url = new URL(incoming.url ?? "/", "http://proxy");
  return {
    method: incoming.method ?? "GET",
    path: url.pathname,
    query: url.searchParams,
    isWatch: url.searchParams.get("watch") === "true" || url.searchParams.get("watch") === "1",
    token: (incoming.headers.authorization ?? "").replace("Bearer ", ""),
    encoding: "",
    atMs: performance.now(),
  };
}

function changer(chunk: (bytes: Buffer) => readonly Buffer[]): Transform {
  return new Transform({
    transform(bytes: Buffer, _encoding, done) {
      for (const part of chunk(bytes)) this.push(part);
      done();
    },
  });
}
