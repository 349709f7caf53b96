import { connect, type Socket } from "node:net";
import { createAnswerReader } from "./answer-reader.ts";
import { createBody } from "./bodies.ts";
import { buildRequest } from "./http1-lane.ts";
import type { Work } from "./lane.ts";

export interface IdleConnections {
  /** Rejects with the first connection that ends. */
  readonly lost: Promise<never>;
  close(): void;
}

export interface IdleOptions {
  readonly work: Work;
  /** On the loopback address. */
  readonly port: number;
  readonly count: number;
}

/** How many are opened at once: a crowd of them at one moment is another question. */
const atOnce = 50;

/** Opens connections that ask once over HTTP/1.1 and then stay; resolves when all of them have their answer. */
export async function openIdleConnections({ work, port, count }: IdleOptions): Promise<IdleConnections> {
  const sockets: Socket[] = [];
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined);
  const close = (): void => {
    for (const socket of sockets) socket.removeAllListeners("close").destroy();
  };
  const open = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const [reader, socket] = [createAnswerReader(createBody(work.answerBytes)), connect(port, "127.0.0.1")];
      sockets.push(socket);
      socket.on("error", lost.reject);
      socket.on("close", () => lost.reject(new Error("the proxy closed a connection")));
      socket.on("data", (data) => {
        try {
          if (reader.take(data)) resolve();
        } catch (cause) {
          reject(cause);
        }
      });
      socket.write(buildRequest(work));
    });
  try {
    for (let left = count; left > 0; left -= atOnce) {
      await Promise.race([lost.promise, Promise.all(Array.from({ length: Math.min(left, atOnce) }, open))]);
    }
  } catch (cause) {
    close();
    throw cause;
  }
  return { lost: lost.promise, close };
}
