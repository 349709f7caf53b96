import type { BackoffLimits } from "./backoff.ts";

/** Numbers that tests and unusual clusters change; all times are in milliseconds. */
export interface KubernetesLimits {
  /** Objects of one page of a list. */
  readonly pageSize: number;
  /** A page, or the head of a watch's answer, must be there within this time. */
  readonly requestTimeoutMs: number;
  /** A streamed list must be complete within this time; after that the list is read in pages. */
  readonly streamedListMs: number;
  /** The server is asked to end a watch after this time up to twice as long: no watch can hang for ever. */
  readonly watchTimeoutMs: number;
  /** A watch that ends sooner than this and told nothing counts as a failure. */
  readonly shortWatchMs: number;
  /** A watch that told nothing for so long, not even a bookmark, is compared with the server. */
  readonly probeMs: number;
  /** How long the second watch of that comparison lasts. */
  readonly probeWatchMs: number;
  /** How much later than the second watch the first may tell an event. */
  readonly graceMs: number;
  /** A watch is cut that told nothing for so long. Servers send a bookmark each minute. */
  readonly silenceMs: number;
  /** How often the served versions are looked up where every kind is there. */
  readonly discoveryMs: number;
  /** How often where a kind is missing. */
  readonly missingMs: number;
  /** Changes of so many milliseconds are published as one step. */
  readonly batchMs: number;
  /** Most bytes of one event. etcd takes 1.5 MB. */
  readonly maxEventBytes: number;
  /** A server that answers but is not ready holds up the start for so long at most. */
  readonly readinessMs: number;
  readonly backoff: BackoffLimits;
}

export const defaultLimits: KubernetesLimits = {
  pageSize: 500,
  requestTimeoutMs: 30_000,
  streamedListMs: 60_000,
  watchTimeoutMs: 300_000,
  shortWatchMs: 1000,
  probeMs: 40_000,
  probeWatchMs: 3000,
  graceMs: 2000,
  silenceMs: 180_000,
  discoveryMs: 60_000,
  missingMs: 5000,
  batchMs: 2,
  maxEventBytes: 64 * 1024 * 1024,
  readinessMs: 60_000,
  backoff: { firstMs: 200, initialMs: 800, maxMs: 30_000, unreachedMaxMs: 2000, quietMs: 120_000 },
};
