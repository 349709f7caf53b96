/** Clients of the agreement test: requests and bytes exactly as they are written. */
import { request } from "node:http";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { Call } from "./call.ts";

/** Gives what is seen of the answer; of the request's headers only those that are named, as the upstream saw them. */
export type SeenAnswer = (headerNames: readonly string[]) => unknown;

/** Sends a request without normalizing anything. Rejects where the connection fails. */
export function askHttp(
  port: number,
  { path = "/", host = "", method = "GET", headers = {} }: Call,
): Promise<SeenAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, method, headers: { ...headers, host }, agent: false });
    asked.once("error", reject);
    asked.once("response", (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.once("end", () => {
        const status = response.statusCode ?? 0;
        if (response.headers["x-upstream"] !== undefined) return resolve((names) => readEcho(status, body, names));
        const { location } = response.headers;
        resolve(() => (location === undefined ? { status, body } : { status, location }));
      });
    });
    asked.end();
  });
}

function readEcho(status: number, body: string, names: readonly string[]): unknown {
  const { url, headers } = JSON.parse(body) as { url: string; headers: Record<string, string> };
  // What the test's headers became: those that Envoy and the client add of themselves are no part of it.
  const own = Object.entries(headers).filter(
    ([name]) => names.includes(name) || /^x-(?!forwarded|request|envoy)/.test(name),
  );
  return { status, path: url, host: headers["host"], headers: Object.fromEntries(own) };
}

/** Sends bytes and gives everything that comes back, "" where the connection is closed without an answer. */
export function sendBytes({ port, from, bytes }: { port: number; from: string; bytes: Buffer }): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, localAddress: from });
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.once("close", () => resolve(text));
    socket.on("error", () => {});
    socket.write(bytes);
  });
}

/** The first record of a TLS client. */
export function buildClientHello(servername: string, ALPNProtocols: readonly string[]): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _, done) => {
        resolve(chunk);
        done();
      },
    });
    const names = ALPNProtocols.length === 0 ? {} : { ALPNProtocols: [...ALPNProtocols] };
    const socket = connectTls({ socket: wire, ...(servername === "" ? {} : { servername }), ...names });
    socket.on("error", () => {});
  });
}
