/** Upstreams that say who they are and what they saw, over HTTP/1.1, HTTP/2, TLS, gRPC and plain TCP. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import {
  Server as GrpcServer,
  Metadata,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import type { IssuedCertificate } from "./test-authority.ts";
import { acceptWebSocket } from "./websocket.ts";

/** A request as an upstream saw it; its answer carries this as JSON. */
export interface EchoedRequest {
  readonly upstream: string;
  readonly method: string;
  readonly path: string;
  /** The authority. */
  readonly host: string;
  /** Version of HTTP, such as "1.1" or "2.0". */
  readonly http: string;
  /** Without pseudo headers. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Number of the connection, from 1 in the order of this upstream's connections. */
  readonly connection: number;
  readonly tls?: EchoedTls;
}

export interface EchoedTls {
  /** The name that the client asked for; "" for none. */
  readonly sni: string;
  /** Alternative names of the client's certificate as Node prints them; "" for none. */
  readonly client: string;
}

export interface EchoUpstream {
  readonly port: number;
  stop(): Promise<void>;
}

export interface EchoOptions {
  readonly name: string;
  /** Hears of every request that comes in, also of those that get no answer. */
  readonly note: (request: EchoedRequest) => void;
}

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** HTTP/1.1 with WebSocket. */
export async function startHttpEcho(options: EchoOptions): Promise<EchoUpstream> {
  const server = createServer(createHandler(options));
  server.on("upgrade", (message: IncomingMessage, socket: Socket) =>
    acceptWebSocket(message, socket, (text) => `${options.name} heard ${text}`),
  );
  return serve(server);
}

/** HTTP/2 without TLS, for clients that know. */
export async function startHttp2Echo(options: EchoOptions): Promise<EchoUpstream> {
  return serve(createHttp2Server(createHandler(options)));
}

export interface SecureEchoOptions extends EchoOptions {
  readonly certificate: IssuedCertificate;
  /** Roots of the certificates that clients may show. */
  readonly clientRoots: string;
  /** True where clients without certificate are refused. */
  readonly requiresCertificate: boolean;
}

/** HTTP/1.1 and HTTP/2 over TLS, as the client negotiates. */
export async function startSecureEcho(options: SecureEchoOptions): Promise<EchoUpstream> {
  const { certificate, clientRoots, requiresCertificate } = options;
  const tls = {
    cert: certificate.certificatePem,
    key: certificate.privateKeyPem,
    ca: clientRoots,
    requestCert: true,
    rejectUnauthorized: requiresCertificate,
  };
  return serve(createSecureServer({ ...tls, allowHTTP1: true }, createHandler(options)));
}

function createHandler({ name, note }: EchoOptions): (message: Request, response: Response) => void {
  const connections = new Map<object, number>();
  return (message, response) => {
    const key = "stream" in message ? (message.stream.session ?? message.stream) : message.socket;
    const connection = connections.get(key) ?? connections.size + 1;
    connections.set(key, connection);
    let body = "";
    // Requests that end before their time are no fault of the upstream.
    message.on("error", () => undefined);
    message.on("data", (chunk: Buffer) => (body += chunk.toString()));
    message.on("end", () => {
      const seen = describeRequest(name, message, { body, connection });
      note(seen);
      answer(message, response, seen);
    });
  };
}

function describeRequest(
  upstream: string,
  message: Request,
  rest: Pick<EchoedRequest, "body" | "connection">,
): EchoedRequest {
  const { method = "", url = "" } = message;
  const given = Object.entries(message.headers).filter(([header]) => !header.startsWith(":"));
  const headers = Object.fromEntries(given.map(([header, value]) => [header, [value].flat().join(", ")]));
  const host = message.headers[":authority"] ?? message.headers.host ?? "";
  const tls = describeTls(message.socket as Socket | TLSSocket);
  const seen = { upstream, method, path: url, host: String(host), http: message.httpVersion, headers, ...rest };
  return tls === undefined ? seen : { ...seen, tls };
}

function describeTls(socket: Socket | TLSSocket): EchoedTls | undefined {
  if (!("getPeerCertificate" in socket) || typeof socket.getPeerCertificate !== "function") return undefined;
  const { servername } = socket as { readonly servername?: string | false };
  return { sni: servername || "", client: socket.getPeerCertificate()?.subjectaltname ?? "" };
}

/** Does what the headers `x-test-…` of the request ask for (test/envoy/behaviours/README.md). */
function answer(message: Request, response: Response, seen: EchoedRequest): void {
  const { headers, path, upstream } = seen;
  if (path.endsWith("/never")) return;
  if (isMeant(headers["x-test-reset"], upstream)) {
    message.socket.destroy();
    return;
  }
  const isFailure = Number(headers["x-envoy-attempt-count"] ?? 1) <= Number(headers["x-test-failures"] ?? 0);
  const status = isFailure ? 503 : findStatus(headers["x-test-status"], upstream);
  const [header, value] = splitPair(headers["x-test-answer"]);
  const [trailer, trailerValue] = splitPair(headers["x-test-trailer"]);
  // Both forms of responses have these methods, with types that do not fit together.
  const writer = response as ServerResponse;
  setTimeout(
    () => {
      if (header !== "") writer.setHeader(header, value);
      if (trailer !== "" && seen.http === "1.1") writer.setHeader("trailer", trailer);
      writer.writeHead(status, { "content-type": "application/json", "x-internal": "secret" });
      if (trailer !== "") writer.addTrailers({ [trailer]: trailerValue });
      writer.end(JSON.stringify(seen));
    },
    Number(headers["x-test-delay-ms"] ?? 0),
  );
}

/** "all" or a list of upstreams, such as "v1,v3". */
function isMeant(list: string | undefined, upstream: string): boolean {
  return list === "all" || (list?.split(",").includes(upstream) ?? false);
}

/** "503" for all upstreams, "v1=503,v2=500" for some. */
function findStatus(text: string | undefined, upstream: string): number {
  if (text === undefined) return 200;
  if (!text.includes("=")) return Number(text);
  const own = text
    .split(",")
    .map(splitPair)
    .find(([name]) => name === upstream);
  return own === undefined ? 200 : Number(own[1]);
}

function splitPair(text = ""): readonly [name: string, value: string] {
  const [name = "", value = ""] = text.split("=");
  return [name, value];
}

/** A gRPC server with `/test.Echo/Say`, which answers with what it saw; metadata "x-test-grpc-status" makes it fail. */
export async function startGrpcEcho({ name, note }: EchoOptions): Promise<EchoUpstream> {
  const keep = (bytes: Buffer): Buffer => bytes;
  const method = {
    ...{ path: "/test.Echo/Say", requestStream: false, responseStream: false },
    ...{ requestSerialize: keep, requestDeserialize: keep, responseSerialize: keep, responseDeserialize: keep },
  } as const;
  const server = new GrpcServer();
  server.addService(
    { say: method },
    {
      say(call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
        const metadata = Object.entries(call.metadata.getMap()).map(([key, value]) => [key, value.toString()]);
        const headers: Record<string, string> = Object.fromEntries(metadata);
        const seen = { upstream: name, method: "POST", path: method.path, host: call.getHost(), http: "2.0" };
        const request = { ...seen, headers, body: call.request.toString(), connection: 0 };
        note(request);
        const code = Number(headers["x-test-grpc-status"] ?? 0);
        const trailers = new Metadata();
        trailers.set("x-said-by", name);
        if (code > 0) callback({ code, details: `${name} fails as asked`, metadata: trailers });
        else callback(null, Buffer.from(JSON.stringify(request)), trailers);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port, stop: async () => server.forceShutdown() };
}

/** Says its name and hangs up. */
export async function startGreeter(name: string): Promise<EchoUpstream> {
  return serve(createTcpServer((socket) => socket.on("error", () => undefined).end(name)));
}

/** Listens until an empty line, then says "<name> read <what came before>", with other than ASCII as \xNN. */
export async function startReader(name: string): Promise<EchoUpstream> {
  const server = createTcpServer((socket) => {
    let text = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (text.endsWith("\n\n")) socket.end(`${name} read ${escapeText(text.slice(0, -2))}`);
    });
  });
  return serve(server);
}

/** An HTTP server that is asked for tunnels and speaks at their end: "<name> ends a tunnel to <where>". */
export async function startTunnelEnd(name: string): Promise<EchoUpstream> {
  const server = createServer();
  server.on("connect", ({ url = "" }: IncomingMessage, socket: Socket) => {
    socket.on("error", () => undefined);
    socket.end(`HTTP/1.1 200 OK\r\n\r\n${name} ends a tunnel to ${url}`);
  });
  return serve(server);
}

function escapeText(text: string): string {
  return text.replaceAll(/[^ -~]/g, (letter) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** Listens on the loopback address; stopping ends open connections. */
async function serve(server: Server): Promise<EchoUpstream> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
