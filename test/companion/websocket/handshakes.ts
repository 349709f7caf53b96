/** Asks for an upgrade and tells what came of it, for servers that agree, refuse, or do something else. */
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { ClientHttp2Session } from "node:http2";
import type { Duplex } from "node:stream";

export interface Outcome {
  /** -1 where the connection ended without an answer. */
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** The content, or what came through the tunnel until its end. */
  readonly text: string;
}

const made = new Set(["date", "server", "x-envoy-upstream-service-time"]);

/** Over HTTP/1.1. Through a tunnel `said` is said, and this side ended. */
export function askUpgrade(port: number, path: string, said: string): Promise<Outcome> {
  const headers = {
    ...{ host: "a", connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" },
    "sec-websocket-key": "AQIDBAUGBwgJCgsMDQ4PEC==",
  };
  return new Promise((resolve) => {
    const call: ClientRequest = request({ host: "127.0.0.1", port, path, headers, agent: false });
    call.on("error", () => resolve({ status: -1, headers: {}, text: "" }));
    call.on("response", (response) => void readText(response).then((text) => resolve(describe(response, text))));
    call.on("upgrade", (response, socket, head: Buffer) => {
      void readText(socket, head).then((text) => resolve(describe(response, text)));
      socket.end(said);
    });
    call.end();
  });
}

/** As an extended CONNECT. */
export function askConnect(session: ClientHttp2Session, path: string, said: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const head = {
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "http",
      ":authority": "a",
      ":path": path,
    };
    const stream = session.request({ ...head, "sec-websocket-version": "13" }, { endStream: false });
    let status = -1;
    let headers: Readonly<Record<string, unknown>> = {};
    stream.on("response", (answer) => {
      status = answer[":status"] ?? -1;
      headers = keep(answer);
      void stream.end(said);
    });
    void readText(stream).then((text) => resolve({ status, headers, text }));
  });
}

function describe({ statusCode = -1, headers }: IncomingMessage, text: string): Outcome {
  return { status: statusCode, headers: keep(headers), text };
}

function keep(headers: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !made.has(name) && !name.startsWith(":")));
}

/** Until it ends, however it ends. */
function readText(stream: Duplex | IncomingMessage, first: Buffer = Buffer.alloc(0)): Promise<string> {
  return new Promise((resolve) => {
    const chunks = [first];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => undefined);
    stream.on("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
  });
}
