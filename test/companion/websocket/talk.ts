/** Says bytes to a WebSocket server, over whatever carries them, and hears all that it says. */
import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { WebSocketCase } from "./cases.ts";
import { hasClose } from "./frames.ts";

export interface Heard {
  /** The answer to the handshake; -1 where it was none. */
  readonly status: number;
  /** Of the server's frames. */
  readonly bytes: Buffer;
}

const handshake = [
  "GET /chat HTTP/1.1",
  "Host: a",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==",
  "",
  "",
].join("\r\n");

/** Over a connection of its own: the handshake, then the case. */
export async function talk(port: number, { bytes, chop }: WebSocketCase, isTls = false): Promise<Heard> {
  const options = { port, host: "127.0.0.1" };
  const socket = isTls ? connectTls({ ...options, rejectUnauthorized: false }) : connectTcp(options);
  socket.setNoDelay(true);
  socket.write(handshake);
  const head = await readHead(socket);
  const heard = listen(socket, head.rest);
  await say(socket, bytes, chop);
  return { status: head.status, bytes: await heard };
}

const window = 16 * 1024 * 1024;

/** With windows that no case fills: Envoy drops what waits for one when the server closes. */
export async function openSession(port: number): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: window } });
  session.on("error", () => undefined);
  // Without it no extended CONNECT may be sent (RFC 8441, section 3).
  await once(session, "remoteSettings");
  session.setLocalWindowSize(window);
  return session;
}

/** As an extended CONNECT (RFC 8441) on a connection of HTTP/2. */
export async function talkOverHttp2(session: ClientHttp2Session, { bytes, chop }: WebSocketCase): Promise<Heard> {
  const stream = session.request(
    {
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "http",
      ":authority": "a",
      ":path": "/chat",
      "sec-websocket-version": "13",
      "sec-websocket-key": "AQIDBAUGBwgJCgsMDQ4PEC==",
    },
    { endStream: false },
  );
  const status = await new Promise<number>((resolve) => {
    stream.once("response", (headers) => resolve(headers[":status"] ?? -1));
    stream.once("error", () => resolve(-1));
  });
  const heard = listen(stream, Buffer.alloc(0));
  await say(stream, bytes, chop);
  return { status, bytes: await heard };
}

async function say(stream: Duplex, bytes: Buffer, chop = bytes.length): Promise<void> {
  for (let at = 0; at < bytes.length && stream.writable; at += chop) {
    const piece = bytes.subarray(at, at + chop);
    // Its end is heard by whoever listens.
    await new Promise<void>((resolve) => stream.write(piece, () => resolve()));
  }
}

/** Everything until the server's end; a closing frame is answered with the end of this side. */
function listen(stream: Duplex, first: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks = [first];
    let isAnswered = false;
    const answer = (): void => {
      if (isAnswered || !hasClose(Buffer.concat(chunks))) return;
      isAnswered = true;
      stream.end();
    };
    stream.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      // Closing frames are short, and what comes behind large ones comes by itself.
      if (chunk.length < 1_024) answer();
    });
    stream.on("error", () => undefined);
    stream.on("end", () => stream.end());
    stream.on("close", () => resolve(Buffer.concat(chunks)));
    answer();
  });
}

function readHead(socket: Duplex): Promise<{ readonly status: number; readonly rest: Buffer }> {
  return new Promise((resolve) => {
    let bytes: Buffer = Buffer.alloc(0);
    const take = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.off("data", take);
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(bytes.toString("latin1"))?.[1] ?? -1);
      resolve({ status, rest: bytes.subarray(end + 4) });
    };
    socket.on("data", take);
    socket.on("error", () => undefined);
    socket.once("close", () => resolve({ status: -1, rest: bytes }));
  });
}
