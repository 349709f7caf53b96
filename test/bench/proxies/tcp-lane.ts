import { connect } from "node:net";
import { createBody } from "./bodies.ts";
import type { Lane, LaneOptions } from "./lane.ts";

/** Sends a piece, waits until one has come back, and goes on with the next. */
export function openTcpLane({ work, port, onExchange, onFailure }: LaneOptions): Lane {
  const [sent, expected, buffer] = [
    createBody(work.sentBytes),
    createBody(work.answerBytes),
    Buffer.allocUnsafe(65_536),
  ];
  let [isClosed, startedAt, taken, isFirst] = [false, performance.now(), 0, true];
  const fail = (cause: unknown): void => {
    if (!isClosed) onFailure(cause);
  };
  const onRead = (length: number): boolean => {
    if (isFirst && expected.compare(buffer, 0, length, taken, taken + length) !== 0) {
      fail(new Error(`other bytes than those that were sent, after ${taken}`));
    }
    taken += length;
    if (taken < expected.length || isClosed) return true;
    [taken, isFirst] = [0, false];
    onExchange(startedAt);
    startedAt = performance.now();
    socket.write(sent);
    return true;
  };
  const socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer, callback: onRead } });
  socket.on("error", fail);
  socket.on("close", () => fail(new Error("the proxy closed a connection")));
  socket.write(sent);
  return {
    close() {
      isClosed = true;
      socket.destroy();
    },
  };
}
