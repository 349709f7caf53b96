/** Sends the requests of behaviours and gathers what came of them, failures included. */

import { type IncomingMessage, request as requestHttp } from "node:http";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { request as requestHttps } from "node:https";
import { connect as connectTcp } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { EchoedRequest } from "../../support/echo-upstreams.ts";
import type { IssuedCertificate } from "../../support/test-authority.ts";
import { askWebSocket } from "../../support/websocket.ts";
import type { BehaviourRequest } from "./behaviour.ts";

/** What a client got. */
export interface Observation {
  /** 0 where there was no HTTP response. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly trailers: Readonly<Record<string, string>>;
  readonly body: string;
  /** What the upstream says that it saw; undefined where none of ours answered. */
  readonly seen: EchoedRequest | undefined;
  readonly grpc?: { readonly status: number; readonly message: string };
  /** The server that the client's TLS connection met. */
  readonly tls?: { readonly names: string; readonly protocol: string; readonly cipher: string };
  /** Why there is no answer. */
  readonly error?: string;
  readonly tookMs: number;
}

/** A request with everything filled in. */
export interface Call extends Omit<BehaviourRequest, "port" | "tls"> {
  readonly port: number;
  /** Whether the request line carries a whole URL. */
  readonly isProxied: boolean;
  /** Options of the client's TLS; undefined for plain text. */
  readonly tls: ConnectionOptions | undefined;
}

const timeoutMs = 15_000;
const nothing = { status: 0, headers: {}, trailers: {}, body: "", seen: undefined } as const;

/** Never rejects: a connection that fails is an observation, too. */
export async function ask(call: Call): Promise<Observation> {
  const begin = performance.now();
  const observed = await send(call).catch((cause: unknown) => ({ ...nothing, error: describeError(cause) }));
  return { ...observed, tookMs: performance.now() - begin };
}

type Answer = Omit<Observation, "tookMs">;

function send(call: Call): Promise<Answer> {
  if (call.kind === "tcp") return sendBytes(call, call.send === "" ? "" : `${call.send}\n\n`);
  if (call.kind === "grpc") return sendGrpc(call);
  if (call.kind === "websocket") return sendWebSocket(call);
  if (call.http === "1.0") {
    const text = `${call.method} ${call.path} HTTP/1.0\r\nHost: ${call.host}\r\n${formatHeaders(call)}\r\n`;
    return sendBytes(call, text);
  }
  return call.http === "2" ? sendHttp2(call) : sendHttp1(call);
}

const formatHeaders = ({ headers }: Call): string =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");

const targetOf = ({ isProxied, host, path }: Call): string => (isProxied ? `http://${host}${path}` : path);

function describeError(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return "code" in cause ? `${String(cause.code)}: ${cause.message}` : cause.message;
}

/** One request on a connection of its own. */
function sendHttp1(call: Call): Promise<Answer> {
  const { port, method, host, headers, body, source, tls } = call;
  const start = tls === undefined ? requestHttp : requestHttps;
  return new Promise((resolve, reject) => {
    const options = {
      ...{ host: "127.0.0.1", port, method, path: targetOf(call), agent: false, timeout: timeoutMs },
      ...(source === undefined ? {} : { localAddress: source }),
      ...tls,
      headers: { host, ...headers },
    };
    const request = start(options, (response) => {
      const server = tls === undefined ? {} : { tls: describeServer(response.socket as TLSSocket) };
      readBody(response).then(
        (text) => resolve({ ...describe(response, text), trailers: joinHeaders(response.trailers), ...server }),
        reject,
      );
    });
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", reject);
    request.end(body);
  });
}

function readBody(response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    response.on("data", (chunk: Buffer) => (text += chunk.toString()));
    response.on("end", () => resolve(text));
    response.on("error", reject);
  });
}

function describe(response: IncomingMessage, body: string): Answer {
  const headers = joinHeaders(response.headers);
  return { status: response.statusCode ?? 0, headers, trailers: {}, body, seen: readSeen(headers, body) };
}

function readSeen(headers: Readonly<Record<string, string>>, body: string): EchoedRequest | undefined {
  return headers["content-type"] === "application/json" && body !== ""
    ? (JSON.parse(body) as EchoedRequest)
    : undefined;
}

function joinHeaders(headers: IncomingHttpHeaders | NodeJS.Dict<string | string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(", ")]));
}

function describeServer(socket: TLSSocket): { names: string; protocol: string; cipher: string } {
  const names = socket.getPeerCertificate()?.subjectaltname ?? "";
  return { names, protocol: String(socket.getProtocol()), cipher: socket.getCipher()?.name ?? "" };
}

function sendHttp2({ port, method, host, path, headers, body, tls }: Call): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const scheme = tls === undefined ? "http" : "https";
    const session = connectHttp2(`${scheme}://127.0.0.1:${port}`, { ...tls });
    session.on("error", reject);
    session.on("close", () => reject(new Error("the connection ended without an answer")));
    const named = { ":method": method, ":path": path, ":authority": host, ":scheme": scheme };
    const stream = session.request({ ...named, ...headers }, { endStream: body === undefined });
    stream.setTimeout(timeoutMs, () => stream.destroy(new Error("no answer in time")));
    const received = { status: 0, headers: {}, trailers: {} as Record<string, string>, body: "" };
    let server = {};
    stream.on("response", (head) => {
      received.status = Number(head[":status"]);
      received.headers = joinHeaders(head);
      if (tls !== undefined) server = { tls: describeServer(session.socket as TLSSocket) };
    });
    stream.on("trailers", (trailers) => (received.trailers = joinHeaders(trailers)));
    stream.on("data", (chunk: Buffer) => (received.body += chunk.toString()));
    stream.on("error", reject);
    stream.on("end", () => {
      resolve({ ...received, seen: readSeen(received.headers, received.body), ...server });
      session.close();
    });
    if (body !== undefined) stream.end(body);
  });
}

function sendGrpc({ port, host, path, headers, body }: Call): Promise<Answer> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.default_authority": host });
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const keep = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + timeoutMs };
    const done = (error: ServiceError | null, reply?: Buffer): void => {
      client.close();
      const text = reply?.toString() ?? "";
      const grpc = { status: error?.code ?? 0, message: error?.details ?? "" };
      const trailers = joinHeaders((error?.metadata.getMap() ?? {}) as NodeJS.Dict<string>);
      resolve({ ...nothing, body: text, seen: text === "" ? undefined : JSON.parse(text), grpc, trailers });
    };
    const target = path === "/" ? "/test.Echo/Say" : path;
    client.makeUnaryRequest(target, keep, keep, Buffer.from(body ?? ""), metadata, options, done);
  });
}

async function sendWebSocket(call: Call): Promise<Answer> {
  const { port, host, headers, send: text } = call;
  const answer = await askWebSocket({ port, path: targetOf(call), headers: { host, ...headers }, text });
  return { ...nothing, status: answer.status, body: answer.text ?? "" };
}

/**
 * Everything that the other side says on one connection until it hangs up. The client never hangs up first: Envoy closes
 * connections of which it sees the end while it still looks for their protocol.
 */
function sendBytes({ port, source, tls }: Call, text: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const where = { host: "127.0.0.1", port, ...(source === undefined ? {} : { localAddress: source }) };
    const socket = tls === undefined ? connectTcp({ ...where, allowHalfOpen: true }) : connectTls({ ...where, ...tls });
    let body = "";
    let server = {};
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error("no answer in time")));
    socket.on("secureConnect", () => (server = { tls: describeServer(socket as TLSSocket) }));
    socket.on("data", (chunk) => (body += chunk.toString()));
    socket.on("error", reject);
    socket.on("close", () => resolve({ ...nothing, body, ...server }));
    socket.on("end", () => socket.end());
    if (text !== "") socket.write(text);
  });
}

/** Options of a client that takes any server's certificate: what it was shown is for the behaviour to judge. */
export function buildTlsOptions(
  { tls, http, kind }: BehaviourRequest,
  {
    certificate,
    fill,
  }: { readonly certificate: IssuedCertificate | undefined; readonly fill: (text: string) => string },
): ConnectionOptions | undefined {
  if (tls === undefined) return undefined;
  const { sni, alpn, minVersion, maxVersion, ciphers } = tls;
  return {
    rejectUnauthorized: false,
    ...(sni === undefined ? {} : { servername: fill(sni) }),
    ...(certificate === undefined ? {} : { cert: certificate.certificatePem, key: certificate.privateKeyPem }),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(alpn !== undefined || kind === "http" ? { ALPNProtocols: [alpn ?? (http === "2" ? "h2" : "http/1.1")] } : {}),
  };
}
