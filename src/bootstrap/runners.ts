import type { Log } from "../lib/log.ts";

/** A part of the process with a beginning and an end. */
export interface Runner {
  readonly name: string;
  /** Resolves when the part does its work; rejects where it cannot. */
  start(): Promise<void>;
  /** Ends the part; called only after start() resolved. */
  stop(): Promise<void>;
}

/**
 * Starts all parts in order and returns the function that stops them in the opposite order. Where one cannot start, those
 * before it are stopped again and the reason is thrown.
 */
export async function startRunners(runners: readonly Runner[], log: Log): Promise<() => Promise<void>> {
  const started: Runner[] = [];
  const stopAll = async (): Promise<void> => {
    for (const runner of started.splice(0).reverse()) {
      // One part that fails to end must not keep the others from ending.
      await runner.stop().catch((error: unknown) => log.error("a part did not stop", { part: runner.name, error }));
    }
  };
  for (const runner of runners) {
    try {
      await runner.start();
    } catch (cause) {
      await stopAll();
      throw cause;
    }
    started.push(runner);
  }
  return stopAll;
}
