/**
 * An HTTP/1.1 server that notes what it is asked, byte for byte, and answers 200 to it. It reads by the letter of RFC 9112,
 * so that what a proxy passes on and another parser would read differently shows as "unreadable".
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

export interface SeenRequest {
  /** Method, target and version. */
  readonly line: string;
  /** In their order, without those that are made anew for each request. */
  readonly headers: readonly string[];
  /** Of chunks the content alone. */
  readonly body: string;
  /** False where the proxy broke it off. */
  readonly isWhole: boolean;
}

export interface RecordingUpstream {
  readonly port: number;
  /** What has come since the last call. */
  take(): readonly SeenRequest[];
  stop(): Promise<void>;
}

const made = /^(?:x-request-id|x-envoy-expected-rq-timeout-ms|x-forwarded-proto): /;
const line = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-\xff]+ HTTP\/1\.1$/;
const header = /^[!#$%&'*+\-.^_`|~0-9a-z]+: ?[\t\x20-\x7e\x80-\xff]*$/;
const whole = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/** A tunnel ends when this came through it: the last request of every input asks for it. */
const tunnelEnd = "/end HTTP/1.1\r\n";

export async function startRecordingUpstream(): Promise<RecordingUpstream> {
  let seen: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const reader = new RequestReader(socket, (request) => seen.push(request));
    socket.on("data", (chunk: Buffer) => reader.take(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(socket);
      reader.finish();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    take() {
      const taken = seen;
      seen = [];
      return taken;
    },
    stop() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

interface Head {
  readonly line: string;
  readonly headers: readonly string[];
  readonly framing: "chunked" | "tunnel" | number;
}

class RequestReader {
  readonly #socket: Socket;
  readonly #note: (request: SeenRequest) => void;
  #text = "";
  #isBroken = false;
  #hasAgreed = false;

  constructor(socket: Socket, note: (request: SeenRequest) => void) {
    this.#socket = socket;
    this.#note = note;
  }

  take(chunk: Buffer): void {
    this.#text += chunk.toString("latin1");
    while (!this.#isBroken && this.#text !== "" && this.#readOne());
  }

  /** The connection has ended. */
  finish(): void {
    if (this.#text === "") return;
    const end = this.#text.indexOf("\r\n\r\n");
    const head = end < 0 ? undefined : parseHead(this.#text.slice(0, end));
    if (head === undefined) this.#noteUnreadable();
    else this.#note({ line: head.line, headers: head.headers, body: this.#text.slice(end + 4), isWhole: false });
  }

  #readOne(): boolean {
    const end = this.#text.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const head = parseHead(this.#text.slice(0, end));
    if (head === undefined) {
      this.#noteUnreadable();
      return false;
    }
    if (head.framing === "tunnel") this.#agree(head.line);
    const body = readBody(this.#text.slice(end + 4), head.framing);
    if (body === undefined) return false;
    this.#text = body.rest;
    this.#note({ line: head.line, headers: head.headers, body: body.text, isWhole: true });
    if (head.framing === "tunnel") this.#socket.end();
    else this.#socket.write(whole);
    return true;
  }

  #agree(line: string): void {
    if (this.#hasAgreed) return;
    this.#hasAgreed = true;
    const connect = "HTTP/1.1 200 OK\r\n\r\n";
    const upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    this.#socket.write(line.startsWith("CONNECT ") ? connect : upgrade);
  }

  #noteUnreadable(): void {
    this.#isBroken = true;
    this.#note({ line: "unreadable", headers: [], body: this.#text, isWhole: true });
    this.#text = "";
    this.#socket.destroy();
  }
}

/** Undefined where a strict reader would refuse it. */
function parseHead(text: string): Head | undefined {
  const [first = "", ...all] = text.split("\r\n");
  if (!line.test(first) || all.some((each) => !header.test(each))) return undefined;
  const values = (name: string): string[] =>
    all.filter((each) => each.startsWith(`${name}:`)).map((each) => each.slice(name.length + 1).trim());
  const [lengths, encodings] = [values("content-length"), values("transfer-encoding")];
  if (lengths.length + encodings.length > 1 || values("host").length !== 1) return undefined;
  if (lengths.some((length) => !/^\d+$/.test(length)) || encodings.some((each) => each !== "chunked")) return undefined;
  const headers = all.filter((each) => !made.test(each));
  if (first.startsWith("CONNECT ") || values("upgrade").length > 0) return { line: first, headers, framing: "tunnel" };
  return { line: first, headers, framing: encodings.length > 0 ? "chunked" : Number(lengths[0] ?? 0) };
}

interface Body {
  readonly text: string;
  readonly rest: string;
}

/** Undefined where it is not whole yet. */
function readBody(text: string, framing: Head["framing"]): Body | undefined {
  if (framing === "tunnel") return text.includes(tunnelEnd) ? { text, rest: "" } : undefined;
  if (framing === "chunked") return readChunks(text);
  return text.length < framing ? undefined : { text: text.slice(0, framing), rest: text.slice(framing) };
}

function readChunks(text: string): Body | undefined {
  let content = "";
  let at = 0;
  for (;;) {
    const end = text.indexOf("\r\n", at);
    if (end < 0) return undefined;
    const size = Number.parseInt(text.slice(at, end), 16);
    if (size === 0) {
      const last = text.indexOf("\r\n\r\n", end);
      return last < 0 ? undefined : { text: content + text.slice(end + 2, last), rest: text.slice(last + 4) };
    }
    if (text.length < end + size + 4) return undefined;
    content += text.slice(end + 2, end + 2 + size);
    at = end + size + 4;
  }
}
