import { setTimeout as sleep } from "node:timers/promises";
import { percentile } from "../statistics.ts";
import { openHttp1Lane } from "./http1-lane.ts";
import { openHttp2Lane } from "./http2-lane.ts";
import type { Lane, LaneOptions, Work } from "./lane.ts";
import { readCpuSeconds } from "./process-usage.ts";
import { openTcpLane } from "./tcp-lane.ts";

export interface RunOptions {
  readonly work: Work;
  /** On the loopback address. */
  readonly port: number;
  /** Of the proxy, whose CPU time is read. */
  readonly pid: number;
  readonly lanes: number;
  /** What the proxy has to have used before anything counts. */
  readonly warmUpCpuSeconds: number;
  /** It takes longer where there are fewer answers than lanes. */
  readonly measureMs: number;
}

/** What happened in the measured time. */
export interface LoadResult {
  readonly exchanges: number;
  readonly wallSeconds: number;
  /** Of the proxy. */
  readonly cpuSeconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A machine that has no time for us gets as long as this to warm a proxy up, and to do something at all. */
const [patienceMs, pollMs] = [30_000, 20];

const openers: Readonly<Record<Work["protocol"], (options: LaneOptions) => Lane>> = {
  http1: openHttp1Lane,
  http2: openHttp2Lane,
  tcp: openTcpLane,
};

/** Opens lanes, lets them work for the given time and closes them. Rejects with the first answer that is wrong. */
export async function runLanes({
  work,
  port,
  pid,
  lanes,
  warmUpCpuSeconds,
  measureMs,
}: RunOptions): Promise<LoadResult> {
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  let times: number[] = [];
  const options: LaneOptions = {
    work,
    port,
    onExchange: (startedAt) => void times.push(performance.now() - startedAt),
    onFailure: failed.reject,
  };
  const opened = Array.from({ length: lanes }, () => openers[work.protocol](options));
  try {
    const warm = readCpuSeconds(pid) + warmUpCpuSeconds;
    await Promise.race([until(() => readCpuSeconds(pid) >= warm), failed.promise]);
    times = [];
    const [cpu, startedAt] = [readCpuSeconds(pid), performance.now()];
    await Promise.race([sleep(measureMs), failed.promise]);
    await Promise.race([until(() => times.length >= lanes), failed.promise]);
    const [cpuSeconds, wallSeconds] = [readCpuSeconds(pid) - cpu, (performance.now() - startedAt) / 1000];
    const measured = times;
    const [p50Ms, p99Ms] = [percentile(measured, 0.5), percentile(measured, 0.99)];
    return { exchanges: measured.length, wallSeconds, cpuSeconds, p50Ms, p99Ms };
  } finally {
    for (const lane of opened) lane.close();
  }
}

/** Gives up in the end, without a word: what is measured then is at least something. */
async function until(isTrue: () => boolean): Promise<void> {
  const latest = performance.now() + patienceMs;
  while (!isTrue() && performance.now() < latest) await sleep(pollMs);
}
