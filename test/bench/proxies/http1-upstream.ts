import { createServer, type Server, type Socket } from "node:net";
import { createBody } from "./bodies.ts";

const endOfHead = Buffer.from("\r\n\r\n");

/** Answers every request with a body of this length, without a look at it: requests have no bodies. */
export function createHttp1Upstream(bodyBytes: number): Server {
  const answer = buildAnswer(bodyBytes);
  return createServer({ noDelay: true }, (socket) => {
    const heads = createHeadCounter();
    socket.on("data", (data: Buffer) => {
      for (let count = heads.take(data); count > 0; count--) socket.write(answer);
    });
    endWithClient(socket);
  });
}

/** Takes requests with bodies whose length is given, and answers each with a body of 2 bytes when it has all of it. */
export function createUploadUpstream(): Server {
  const answer = buildAnswer(2);
  return createServer({ noDelay: true }, (socket) => {
    const uploads = createUploadCounter();
    socket.on("data", (data: Buffer) => {
      for (let count = uploads.take(data); count > 0; count--) socket.write(answer);
    });
    endWithClient(socket);
  });
}

function buildAnswer(bodyBytes: number): Buffer {
  const head = [
    "HTTP/1.1 200 OK",
    "server: upstream",
    "date: Thu, 01 Jan 2026 00:00:00 GMT",
    "content-type: text/plain",
    `content-length: ${bodyBytes}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), createBody(bodyBytes)]);
}

/** Counts the ends of requests that say how long they are. Throws where one does not. */
function createUploadCounter(): { take(data: Buffer): number } {
  let [head, left] = ["", 0];
  const takeHead = (data: Buffer, at: number): number => {
    const end = data.indexOf(endOfHead, at);
    // Heads come in one piece but for a rare one: then the rest is looked at with what was there.
    head += data.toString("latin1", at, end < 0 ? data.length : end + endOfHead.length);
    if (end < 0) return data.length;
    left = readLength(head);
    head = "";
    return end + endOfHead.length;
  };
  return {
    take(data) {
      let count = 0;
      for (let at = 0; at < data.length; ) {
        if (left === 0) at = takeHead(data, at);
        const taken = Math.min(left, data.length - at);
        [left, at] = [left - taken, at + taken];
        if (left === 0 && head === "") count++;
      }
      return count;
    },
  };
}

function readLength(head: string): number {
  const length = /^content-length: *(\d+)\r$/im.exec(head)?.[1];
  if (length === undefined) throw new Error(`a request without a length:\n${head}`);
  return Number(length);
}

/** Counts the ends of heads in a stream that has nothing else, also where one is cut in two. */
function createHeadCounter(): { take(data: Buffer): number } {
  let matched = 0;
  return {
    take(data) {
      if (matched === 0 && data.indexOf(endOfHead) === data.length - 4) return 1;
      let count = 0;
      for (const byte of data) {
        if (byte === endOfHead[matched]) matched++;
        else matched = byte === endOfHead[0] ? 1 : 0;
        if (matched === endOfHead.length) [count, matched] = [count + 1, 0];
      }
      return count;
    },
  };
}

/** A proxy that is ended leaves its connections reset. */
function endWithClient(socket: Socket): void {
  socket.on("error", () => socket.destroy());
}
