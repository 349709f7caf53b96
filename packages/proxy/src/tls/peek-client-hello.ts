/** Looks at what a client of TLS says first, and puts what it read back. */
import type { Duplex } from "node:stream";
import { type ClientHello, parseClientHello } from "../listeners/inspectors/client-hello.ts";

/** More than this is no hello that anybody sends. */
const maxHello = 64 * 1024;

export type Hello = Extract<ClientHello, { readonly kind: "hello" }>;

/**
 * The client's name for the server and its protocols; undefined where that cannot be told (no TLS, the end, too much): then the handshake itself
 * will say what is wrong.
 */
export function peekClientHello(socket: Duplex): Promise<Hello | undefined> {
  return new Promise((resolve) => {
    let bytes: Buffer = Buffer.alloc(0);
    const finish = (hello: Hello | undefined): void => {
      socket.off("readable", look);
      socket.off("end", stop);
      socket.off("close", stop);
      socket.off("error", stop);
      // Reading all that there was has made the socket tell of its end on the next tick, where that has come, too.
      process.nextTick(() => {
        if (bytes.length > 0 && !socket.destroyed && !socket.readableEnded) socket.unshift(bytes);
        resolve(hello);
      });
    };
    const stop = (): void => finish(undefined);
    const look = (): void => {
      for (let chunk: unknown = socket.read(); chunk !== null; chunk = socket.read()) {
        if (!Buffer.isBuffer(chunk)) break;
        bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      }
      const hello = parseClientHello(bytes);
      if (hello.kind === "hello") finish(hello);
      else if (hello.kind === "not-tls" || bytes.length > maxHello) finish(undefined);
    };
    socket.on("readable", look);
    socket.once("end", stop);
    socket.once("close", stop);
    socket.once("error", stop);
    if (socket.readableLength > 0) look();
  });
}
