/** The process that asks: as many lanes as it is told, each with one exchange after the other. */
import { setTimeout as sleep } from "node:timers/promises";
import { percentile } from "../statistics.ts";
import { answerParent } from "./child-link.ts";
import { openHttp1Lane } from "./http1-lane.ts";
import { openHttp2Lane } from "./http2-lane.ts";
import type { Lane, LaneOptions, Work } from "./lane.ts";
import { readCpuSeconds } from "./process-usage.ts";
import { openTcpLane } from "./tcp-lane.ts";

export interface LoadCommand {
  readonly work: Work;
  /** On the loopback address. */
  readonly port: number;
  /** Of the proxy, whose CPU time is read. */
  readonly pid: number;
  readonly lanes: number;
  readonly warmUpMs: number;
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
export type LoadAnswer = LoadResult | { readonly failure: string } | { readonly isReady: true };

const openers: Readonly<Record<Work["protocol"], (options: LaneOptions) => Lane>> = {
  http1: openHttp1Lane,
  http2: openHttp2Lane,
  tcp: openTcpLane,
};

answerParent<LoadCommand, LoadAnswer>({ isReady: true }, (command) =>
  run(command).catch((cause: unknown) => ({ failure: cause instanceof Error ? cause.message : String(cause) })),
);

async function run({ work, port, pid, lanes, warmUpMs, measureMs }: LoadCommand): Promise<LoadResult> {
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
    await Promise.race([sleep(warmUpMs), failed.promise]);
    times = [];
    const [cpu, startedAt] = [readCpuSeconds(pid), performance.now()];
    await Promise.race([sleep(measureMs), failed.promise]);
    const measured = times;
    const [cpuSeconds, wallSeconds] = [readCpuSeconds(pid) - cpu, (performance.now() - startedAt) / 1000];
    const [p50Ms, p99Ms] = [percentile(measured, 0.5), percentile(measured, 0.99)];
    return { exchanges: measured.length, wallSeconds, cpuSeconds, p50Ms, p99Ms };
  } finally {
    for (const lane of opened) lane.close();
  }
}
