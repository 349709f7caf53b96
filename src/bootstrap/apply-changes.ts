import type { MeshMetrics } from "../http/metrics.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { type Message, objectKey } from "../lib/message.ts";
import type { SnapshotBuilder } from "../snapshot/build.ts";
import type { ChangeSet } from "../sources/source.ts";
import type { DiscoveryServer } from "../xds/discovery-server.ts";
import { countInboundUpdates } from "./inbound-updates.ts";
import { createProblemLog } from "./problem-log.ts";

export interface ApplyParts {
  readonly builder: SnapshotBuilder;
  readonly discovery: DiscoveryServer;
  readonly metrics: MeshMetrics;
  readonly clock: Clock;
  readonly log: Log;
}

/** Messages are looked for once for all changes of so many milliseconds: proxies come first, people read slowly. */
const reportDelayMs = 20;

/** Takes change sets of sources all the way: into the snapshot, to the proxies, and into the log. */
export interface ChangePath {
  apply(changeSet: ChangeSet, source: string): void;
  close(): void;
}

export function createChangePath(parts: ApplyParts): ChangePath {
  const { builder, discovery, metrics, clock } = parts;
  const report = createReport(parts);
  let timer: Timer | undefined;
  return {
    apply(changeSet, source) {
      const begin = clock.monotonic();
      const change = builder.apply(changeSet, source);
      metrics.observe("pilot_pushcontext_init_seconds", (clock.monotonic() - begin) / 1000);
      for (const [type, count] of countInboundUpdates(changeSet)) {
        metrics.count("pilot_inbound_updates", { type }, count);
      }
      discovery.apply(change);
      if (timer !== undefined) return;
      timer = clock.after(reportDelayMs, () => {
        timer = undefined;
        report();
      });
    },
    close: () => timer?.close(),
  };
}

function createReport({ builder, metrics, log }: ApplyParts): () => void {
  const printProblems = createProblemLog(log);
  let rejected: ReadonlySet<string> = new Set();
  return () => {
    const { messages } = builder.current;
    printProblems(messages);
    const errors = new Map(messages.filter(({ level }) => level === "error").map(describeRejected));
    for (const [key, labels] of errors) if (!rejected.has(key)) metrics.count("pilot_total_rejected_configs", labels);
    rejected = new Set(errors.keys());
  };
}

function describeRejected({ object }: Message): [string, { readonly type: string; readonly name: string }] {
  return [objectKey(object), { type: object.kind, name: `${object.namespace}/${object.name}` }];
}
