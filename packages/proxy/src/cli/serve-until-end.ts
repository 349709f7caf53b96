import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { RunningProxy } from "../server/types.ts";

export interface ServeOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** How long connections may go on after the first signal; 5 seconds where not given. */
  readonly drainTimeMs: number | undefined;
}

const defaultDrainMs = 5_000;
/** How often it is looked whether the last client is gone. */
const pollMs = 50;

/**
 * Serves until an administrator or a signal ends it. The first SIGTERM or SIGINT drains: clients are told, and the end
 * comes when the last of them is gone or the time is over. The second ends at once. SIGUSR1 opens logs anew.
 */
export async function serveUntilEnd(
  proxy: RunningProxy,
  { log, clock, drainTimeMs = defaultDrainMs }: ServeOptions,
): Promise<void> {
  const end = Promise.withResolvers<void>();
  const timers: Timer[] = [];
  // Timers of the clock let a process end, and there need not be a socket: an open port does not.
  const { port1: open } = new MessageChannel();
  open.ref();
  let isDraining = false;
  const handleSignal = (signal: NodeJS.Signals): void => {
    if (isDraining) {
      end.resolve();
      return;
    }
    isDraining = true;
    log.info("Draining, as a signal asks for the end", { signal });
    proxy.drain();
    timers.push(clock.after(drainTimeMs, () => end.resolve()));
    timers.push(clock.every(pollMs, () => (countConnections(proxy) === 0 ? end.resolve() : undefined)));
  };
  const reopen = (): void => proxy.admin.reopenLogs();
  process.on("SIGTERM", handleSignal);
  process.on("SIGINT", handleSignal);
  process.on("SIGUSR1", reopen);
  try {
    await Promise.race([end.promise, proxy.quitRequested]);
  } finally {
    process.off("SIGTERM", handleSignal);
    process.off("SIGINT", handleSignal);
    process.off("SIGUSR1", reopen);
    for (const timer of timers) timer.close();
    open.close();
    await proxy.close();
  }
}

function countConnections({ listeners }: RunningProxy): number {
  return listeners.list().reduce((sum, { connections }) => sum + connections, 0);
}
