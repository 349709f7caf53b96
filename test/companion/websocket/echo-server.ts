/** A WebSocket server that says everything back, and beside it paths that refuse or misuse the upgrade. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";

export interface EchoServer {
  readonly port: number;
  /** WebSockets that are open. */
  count(): number;
  stop(): Promise<void>;
}

const largest = 8 * 1024 * 1024;
const switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";

/** Paths that answer an upgrade with bytes of their own. */
const scripts: Readonly<Record<string, (socket: Duplex) => void>> = {
  "/refuses": (socket) =>
    socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\nx-why: policy\r\n\r\nno"),
  "/wants-another-version": (socket) =>
    socket.write("HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\ncontent-length: 0\r\n\r\n"),
  "/answers": (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
  "/redirects": (socket) => socket.write("HTTP/1.1 302 Found\r\nlocation: /chat\r\ncontent-length: 0\r\n\r\n"),
  "/hangs-up": (socket) => socket.destroy(),
  /** Speaks in the same breath as it agrees. */
  "/speaks-first": (socket) => socket.end(`${switching}first`),
  /** Says nothing before its client has ended, and then what it heard. */
  "/waits-for-the-end": (socket) => {
    const heard: Buffer[] = [];
    socket.write(switching);
    socket.on("data", (chunk: Buffer) => heard.push(chunk));
    socket.on("end", () => socket.end(Buffer.concat([Buffer.from("heard "), ...heard])));
  },
  /** Ends its side and goes on listening. */
  "/ends-first": (socket) => socket.end(`${switching}bye`),
};

export async function startEchoServer(): Promise<EchoServer> {
  const options = { noServer: true, maxPayload: largest };
  const plain = new WebSocketServer({ ...options, perMessageDeflate: false });
  const deflating = new WebSocketServer({ ...options, perMessageDeflate: { threshold: 0 } });
  const chatting = new WebSocketServer({ ...options, handleProtocols: (offered) => [...offered].at(-1) ?? false });
  const sockets = new Set<Duplex>();
  const server = createServer((_message, response) => response.end("no upgrade"));
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => undefined);
    const script = scripts[message.url ?? ""];
    if (script !== undefined) return script(socket);
    const chosen = { "/deflate": deflating, "/protocols": chatting }[message.url ?? ""] ?? plain;
    chosen.handleUpgrade(message, socket, head, echo);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    count: () => plain.clients.size + deflating.clients.size + chatting.clients.size,
    stop() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function echo(socket: WebSocket): void {
  // What the client does wrong is told to it in a closing frame.
  socket.on("error", () => undefined);
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
}
