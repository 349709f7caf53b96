import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { createAnswerReader } from "./answer-reader.ts";
import { createBody } from "./bodies.ts";
import type { Lane, LaneOptions, Work } from "./lane.ts";

/** What libuv reads at once at most. */
const readBytes = 65_536;

/** Asks over HTTP/1.1, in the clear or over TLS, over one connection or a new one for each request. */
export function openHttp1Lane({ work, port, onExchange, onFailure }: LaneOptions): Lane {
  const request = buildRequest(work);
  const [body, buffer] = [createBody(work.answerBytes), Buffer.allocUnsafe(readBytes)];
  let [isClosed, startedAt] = [false, 0];
  let socket: Socket | undefined;
  const fail = (cause: unknown): void => {
    if (!isClosed) onFailure(cause);
  };
  const dial = (): void => {
    startedAt = performance.now();
    const reader = createAnswerReader(body);
    const onRead = (length: number): boolean => {
      try {
        if (!isClosed && reader.take(buffer.subarray(0, length))) finish();
      } catch (cause) {
        fail(cause);
      }
      return true;
    };
    const options = { port, host: "127.0.0.1", noDelay: true, onread: { buffer, callback: onRead } };
    const opened =
      work.roots === undefined
        ? connect(options)
        : connectTls({ ...options, ca: work.roots, servername: "localhost", ALPNProtocols: ["http/1.1"] });
    opened.on("error", fail);
    opened.on("close", () => (opened === socket ? fail(new Error("the proxy closed a connection")) : undefined));
    opened.write(request);
    socket = opened;
  };
  const finish = (): void => {
    onExchange(startedAt);
    if (isClosed) return;
    if (work.isFresh === true) {
      const finished = socket;
      socket = undefined;
      finished?.destroy();
      dial();
      return;
    }
    startedAt = performance.now();
    socket?.write(request);
  };
  dial();
  return {
    close() {
      isClosed = true;
      socket?.destroy();
    },
  };
}

/** A whole request, its body included. */
export function buildRequest({ path, sentBytes }: Work): Buffer {
  const head = [
    `${sentBytes > 0 ? "POST" : "GET"} ${path} HTTP/1.1`,
    "host: bench.test",
    "user-agent: bench/1.0",
    "accept: */*",
    ...(sentBytes > 0 ? ["content-type: text/plain", `content-length: ${sentBytes}`] : []),
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), createBody(sentBytes)]);
}
