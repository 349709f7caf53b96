/** Statistics that nobody reads: Envoy does not count the requests of active checks among those of the cluster. */
import type { Stats } from "../../lib/stats.ts";

const ignored = {
  value: 0,
  inc: (): void => undefined,
  dec: (): void => undefined,
  set: (): void => undefined,
  record: (): void => undefined,
};

export const uncountedStats: Stats = {
  counter: () => ignored,
  gauge: () => ignored,
  histogram: () => ignored,
  announce: () => undefined,
  scope: () => uncountedStats,
};
