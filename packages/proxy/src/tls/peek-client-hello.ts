/** Looks at the protocols that a client offers, and puts what it read back. */
import type { Duplex } from "node:stream";
import { parseClientHello } from "../listeners/inspectors/client-hello.ts";

/** More than this is no hello that anybody sends. */
const maxHello = 64 * 1024;

/**
 * The client's ALPN protocols; undefined where that cannot be told (no TLS, the end, too much): then the handshake itself
 * will say what is wrong.
 */
export function peekClientHello(socket: Duplex): Promise<readonly string[] | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const finish = (alpn: readonly string[] | undefined): void => {
      socket.off("readable", look);
      socket.off("end", stop);
      socket.off("close", stop);
      socket.off("error", stop);
      if (chunks.length > 0 && !socket.destroyed) socket.unshift(Buffer.concat(chunks));
      resolve(alpn);
    };
    const stop = (): void => finish(undefined);
    const look = (): void => {
      for (let chunk: unknown = socket.read(); chunk !== null; chunk = socket.read()) {
        if (!Buffer.isBuffer(chunk)) break;
        chunks.push(chunk);
        length += chunk.length;
      }
      const hello = parseClientHello(Buffer.concat(chunks));
      if (hello.kind === "hello") finish(hello.alpn);
      else if (hello.kind === "not-tls" || length > maxHello) finish(undefined);
    };
    socket.on("readable", look);
    socket.once("end", stop);
    socket.once("close", stop);
    socket.once("error", stop);
    if (socket.readableLength > 0) look();
  });
}
