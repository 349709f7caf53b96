/** The process that asks. */
import { setTimeout as sleep } from "node:timers/promises";
import { answerParent } from "./child-link.ts";
import { openIdleConnections } from "./idle-connections.ts";
import type { Work } from "./lane.ts";
import { readResidentBytes } from "./process-usage.ts";
import { type LoadResult, type RunOptions, runLanes } from "./run-lanes.ts";

export type LoadCommand =
  | ({ readonly do: "run" } & RunOptions)
  /** Connections that have asked once, kept for a time. */
  | {
      readonly do: "hold";
      readonly work: Work;
      /** On the loopback address. */
      readonly port: number;
      /** Of the proxy, whose memory is read when the time is over. */
      readonly pid: number;
      readonly count: number;
      readonly holdMs: number;
    };
export type LoadAnswer =
  | { readonly is: "ready" }
  | { readonly is: "result"; readonly result: LoadResult }
  | { readonly is: "held"; readonly residentBytes: number }
  | { readonly is: "failure"; readonly reason: string };

answerParent<LoadCommand, LoadAnswer>({ is: "ready" }, (command) =>
  handle(command).catch((cause: unknown) => ({
    is: "failure",
    reason: cause instanceof Error ? cause.message : String(cause),
  })),
);

async function handle(command: LoadCommand): Promise<LoadAnswer> {
  if (command.do === "run") return { is: "result", result: await runLanes(command) };
  const { work, port, pid, count, holdMs } = command;
  const connections = await openIdleConnections({ work, port, count });
  try {
    await Promise.race([sleep(holdMs), connections.lost]);
    return { is: "held", residentBytes: readResidentBytes(pid) };
  } finally {
    connections.close();
  }
}
