/** As much of WebSocket (RFC 6455) as one short text in each direction needs, for a server and for a client. */
import { createHash, randomBytes } from "node:crypto";
import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";

const acceptKey = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");

/** Takes an upgrade and answers each text with what `reply` makes of it. */
export function acceptWebSocket(message: IncomingMessage, socket: Duplex, reply: (text: string) => string): void {
  const accept = acceptKey(String(message.headers["sec-websocket-key"]));
  socket.on("error", () => undefined);
  socket.on("end", () => socket.end());
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  );
  socket.on("data", (chunk: Buffer) => {
    const text = readFrame(chunk);
    if (text !== undefined) socket.write(buildFrame(reply(text)));
  });
}

export interface WebSocketQuestion {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** Sends one text and gives the first that comes back; where the upgrade is refused, only the status. */
export function askWebSocket(
  question: WebSocketQuestion,
): Promise<{ readonly status: number; readonly text: string | undefined }> {
  const { port, path, text } = question;
  const headers = {
    ...question.headers,
    ...{ connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" },
    "sec-websocket-key": randomBytes(16).toString("base64"),
  };
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path, headers, agent: false });
    call.on("error", reject);
    call.on("response", (response) => {
      response.resume().on("end", () => resolve({ status: response.statusCode ?? 0, text: undefined }));
    });
    call.on("upgrade", (response, socket) => {
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("the connection ended without a text")));
      socket.on("data", (chunk: Buffer) => {
        resolve({ status: response.statusCode ?? 0, text: readFrame(chunk) });
        socket.destroy();
      });
      socket.write(buildFrame(text, randomBytes(4)));
    });
    call.end();
  });
}

/** A whole text in one frame; clients mask theirs. */
function buildFrame(text: string, mask?: Buffer): Buffer {
  const payload = Buffer.from(text);
  if (payload.length > 125) throw new Error("only short texts are spoken here");
  if (mask === undefined) return Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, applyMask(payload, mask)]);
}

/** The text of a frame that came in one piece; undefined for frames that are no texts, such as the closing one. */
function readFrame(frame: Buffer): string | undefined {
  const [first = 0, second = 0] = frame;
  if ((first & 0x0f) !== 1) return undefined;
  const start = (second & 0x80) === 0 ? 2 : 6;
  const payload = frame.subarray(start, start + (second & 0x7f));
  return (start === 6 ? applyMask(payload, frame.subarray(2, 6)) : payload).toString();
}

function applyMask(payload: Buffer, mask: Buffer): Buffer {
  return Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
}
