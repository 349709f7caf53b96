/** The server behind the proxy: 1 kB at once, 4 MB in pieces as fast as they are taken, or an answer when a body is whole. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { preferProcess, serveActor } from "./actor.ts";

const small = Buffer.alloc(1024, "a");
const piece = Buffer.alloc(64 * 1024, "b");
const largeBytes = 4 * 1024 * 1024;

let sentBytes = 0;
const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  request.on("error", () => undefined);
  response.on("error", () => undefined);
  if (request.url?.startsWith("/large") === true) {
    response.writeHead(200, { "content-length": largeBytes });
    if (request.url === "/large") sendLarge(response, largeBytes);
    else sendSlowly(response, largeBytes);
    return;
  }
  request.resume();
  request.on("end", () => response.writeHead(200, { "content-length": small.length }).end(small));
});

function sendLarge(response: ServerResponse, left: number): void {
  if (response.destroyed) return;
  if (left <= 0) {
    response.end();
    return;
  }
  sentBytes += piece.length;
  if (response.write(piece)) setImmediate(() => sendLarge(response, left - piece.length));
  else response.once("drain", () => sendLarge(response, left - piece.length));
}

function sendSlowly(response: ServerResponse, left: number): void {
  if (response.destroyed) return;
  sentBytes += piece.length;
  response.write(piece);
  if (left <= piece.length) response.end();
  else setTimeout(() => sendSlowly(response, left - piece.length), 100);
}

const commands = {
  listen: () =>
    new Promise<number>((resolve) => {
      server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () =>
        resolve((server.address() as AddressInfo).port),
      );
    }),
  /** Bytes of large answers that were given to the system since the last question. */
  takeSentBytes: () => {
    const bytes = sentBytes;
    sentBytes = 0;
    return bytes;
  },
};
export type UpstreamCommands = typeof commands;

preferProcess(process.pid);
serveActor(commands);
