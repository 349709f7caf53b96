import type { Clock } from "../../../../src/lib/clock.ts";
import { connectTarget, failed, type ProbeOutcome, type ProbeTarget } from "./probe-target.ts";

/** A probe of kind tcpSocket: succeeds where the port takes a connection in time. */
export function probeTcp(
  target: ProbeTarget,
  { port, timeoutMs }: { readonly port: number; readonly timeoutMs: number },
  clock: Clock,
): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const socket = connectTarget(target, port);
    const finish = (outcome: ProbeOutcome): void => {
      timer.close();
      socket.destroy();
      resolve(outcome);
    };
    const timer = clock.after(timeoutMs, () => finish(failed(`no connection within ${timeoutMs} ms`)));
    socket.once("connect", () => finish({ status: 200 }));
    socket.once("error", (cause) => finish(failed(cause.message)));
  });
}
