/** Servers behind the proxy: they say what they were asked, and do what requests and the world ask of them. */
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { longestStallMs } from "./predict-forward.ts";
import type { Records } from "./records.ts";
import { type Ask, requestHeaders, upstreamResponseHeaders } from "./request.ts";
import { protocolOf, type UpstreamState } from "./world.ts";

/** What an upstream says of a request, in the header x-seen. */
export interface Seen {
  readonly upstream: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface UpstreamOptions {
  readonly name: string;
  readonly port: number;
  readonly records: Records;
  /** For tests of the tests: changes what is said. */
  readonly spoil: ((seen: Seen, id: number) => Seen) | undefined;
}

export interface Upstream {
  /** Resolves when the state holds for every request that comes from now on. */
  turn(state: UpstreamState): Promise<void>;
  stop(): Promise<void>;
}

const slowMs = 30;
/** Those who cancel are gone by then, mostly. */
const lateMs = 30;

/** Listens until it is stopped. Rejects where the port is taken. */
export async function startUpstream(options: UpstreamOptions): Promise<Upstream> {
  const state = { now: "up" as UpstreamState };
  const running = { server: await listen(options, state) };
  const close = async (isAtOnce: boolean): Promise<void> => {
    const { server } = running;
    running.server = undefined;
    await server?.close(isAtOnce);
  };
  return {
    async turn(next) {
      const wasDown = running.server === undefined;
      state.now = next;
      if (next === "down") await close(false);
      else if (wasDown) running.server = await listen(options, state);
    },
    stop: () => close(true),
  };
}

type State = { readonly now: UpstreamState };
interface Running {
  /** Takes no more connections; those at work go on, unless all is to end at once. */
  close(isAtOnce: boolean): Promise<void>;
}

async function listen(options: UpstreamOptions, state: State): Promise<Running | undefined> {
  const protocol = protocolOf(options.name);
  if (protocol === "tcp") return listenTcp(options);
  return protocol === "http1" ? listenHttp1(options, state) : listenHttp2(options, state);
}

/** Says its name, then sends back what comes. */
async function listenTcp({ name, port }: UpstreamOptions): Promise<Running> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.write(`${name}\n`);
    socket.pipe(socket);
  });
  await begin(server, port);
  return {
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function listenHttp1(options: UpstreamOptions, state: State): Promise<Running> {
  const server = createHttpServer({ keepAliveTimeout: 0 }, (request, response) =>
    answer({ request, response, state, options }),
  );
  const upgraded = new Set<Duplex>();
  server.on("upgrade", (request, socket) => {
    upgraded.add(socket);
    socket.on("close", () => upgraded.delete(socket));
    upgrade({ request, socket, state, options });
  });
  await begin(server, options.port);
  return {
    close(isAtOnce) {
      server.close();
      server.closeIdleConnections();
      if (!isAtOnce) return Promise.resolve();
      server.closeAllConnections();
      for (const socket of upgraded) socket.destroy();
      return Promise.resolve();
    },
  };
}

async function listenHttp2(options: UpstreamOptions, state: State): Promise<Running> {
  const server = createHttp2Server({ settings: { enableConnectProtocol: true } });
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => undefined);
    session.on("close", () => sessions.delete(session));
  });
  server.on("request", (request, response) => answer({ request, response, state, options }));
  // An upgrade, as HTTP/2 has it (RFC 8441).
  server.on("connect", (request, response) => answer({ request, response, state, options }));
  await begin(server, options.port);
  return {
    close(isAtOnce) {
      server.close();
      for (const session of sessions) {
        if (isAtOnce) session.destroy();
        else session.close();
      }
      return Promise.resolve();
    },
  };
}

function begin(server: Pick<Server, "once" | "off" | "listen">, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** What both protocols' answers have. */
interface Answer {
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  on(event: "close" | "error", run: () => void): unknown;
  writeHead(status: number, headers: Readonly<Record<string, string>>): unknown;
  end(body: string | Buffer): unknown;
}

interface Exchange {
  readonly request: IncomingMessage | Http2ServerRequest;
  readonly response: Answer & (ServerResponse | Http2ServerResponse);
  readonly state: State;
  readonly options: UpstreamOptions;
}

function answer(exchange: Exchange): void {
  const { request, state, options } = exchange;
  const { records } = options;
  const response: Answer = exchange.response;
  request.on("error", () => undefined);
  response.on("error", () => undefined);
  if (state.now === "down") {
    // It came over a connection that was left from before.
    if ("stream" in request) request.stream.session?.destroy();
    else request.socket.destroy();
    return;
  }
  records.active += 1;
  response.on("close", () => {
    records.active -= 1;
  });
  const seen = look(request, options);
  const headers = { ...upstreamResponseHeaders, "x-seen": seen };
  if (state.now === "failing") {
    request.resume();
    response.writeHead(503, headers);
    response.end("failing");
    return;
  }
  const ask = (request.headers["x-ask"] ?? "answer") as Ask;
  if (ask === "echo" || ask === "upgrade") {
    echo(exchange, headers);
    return;
  }
  const waits = { stall: longestStallMs, cancel: lateMs, answer: 0, echo: 0, upgrade: 0 };
  void reply(exchange, headers, Math.max(waits[ask], state.now === "slow" ? slowMs : 0));
}

function echo({ request, response }: Exchange, headers: Record<string, string>): void {
  if ("stream" in response) {
    response.writeHead(200, headers);
    response.stream.pipe(response.stream);
    return;
  }
  response.writeHead(200, headers);
  response.flushHeaders();
  request.pipe(response);
}

/** Reads all, waits, and sends all back. */
async function reply(exchange: Exchange, headers: Record<string, string>, waitMs: number): Promise<void> {
  const { request } = exchange;
  const response: Answer = exchange.response;
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return;
  }
  const send = (): void => {
    if (response.destroyed || response.writableEnded) return;
    response.writeHead(200, headers);
    response.end(Buffer.concat(chunks));
  };
  if (waitMs === 0) {
    send();
    return;
  }
  const timer = setTimeout(send, waitMs);
  response.on("close", () => clearTimeout(timer));
}

interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly state: State;
  readonly options: UpstreamOptions;
}

function upgrade({ request, socket, state, options }: Upgrade): void {
  const { records } = options;
  socket.on("error", () => undefined);
  if (state.now === "down") {
    // As with requests: it came over a connection that was left from before.
    socket.destroy();
    return;
  }
  records.active += 1;
  socket.on("close", () => {
    records.active -= 1;
  });
  const headers = { ...upstreamResponseHeaders, "x-seen": look(request, options) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  if (state.now === "failing") {
    socket.end(`HTTP/1.1 503 Service Unavailable\r\n${lines.join("")}content-length: 7\r\n\r\nfailing`);
    return;
  }
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n${lines.join("")}\r\n`,
  );
  socket.pipe(socket);
}

/** Notes an attempt. The result is what the upstream says of it. */
function look(request: IncomingMessage | Http2ServerRequest, { name, records, spoil }: UpstreamOptions): string {
  const { headers } = request;
  const id = Number(headers["x-id"]);
  const host = hostOf(headers);
  const isShadow = host.endsWith("-shadow");
  records.note(id, { upstream: name, isShadow });
  const shown = requestHeaders.flatMap((header) => {
    const value = headers[header];
    return value === undefined ? [] : [[header, String(value)] as const];
  });
  const method = request.method ?? "";
  const seen: Seen = { upstream: name, method, path: request.url ?? "", host, headers: Object.fromEntries(shown) };
  return JSON.stringify(spoil === undefined ? seen : spoil(seen, id));
}

function hostOf(headers: IncomingHttpHeaders & { readonly ":authority"?: string | undefined }): string {
  return headers[":authority"] ?? headers.host ?? "";
}
