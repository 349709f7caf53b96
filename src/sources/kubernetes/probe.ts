/**
 * Finds out whether a silent watch is deaf. A connection may look alive (something between us and the server answers the
 * kernel's questions) while nothing comes through, and a server whose data were restored from a backup sends nothing
 * until they have caught up with the resource version we asked for.
 */
import { KubeApiError, type KubeClient } from "../../kube/kube-client.ts";
import type { Clock } from "../../lib/clock.ts";
import { LineSplitter } from "./event-lines.ts";
import type { KubernetesLimits } from "./limits.ts";
import { readRecord, readResourceVersion } from "./raw-object.ts";
import { isOlder } from "./resource-version.ts";
import { pathOf, selectorOf, type WatchTarget } from "./watch-target.ts";

export interface ProbeOptions {
  readonly target: WatchTarget;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly limits: KubernetesLimits;
  readonly signal: AbortSignal;
  readonly version: string;
  /** Where the watch stands. */
  readonly resourceVersion: string;
  /** The watch is new: only the age of the server's data is in question. */
  readonly isAfterBreak: boolean;
  /** Whether the watch has told anything since the probe began. */
  readonly hasHeard: () => boolean;
}

/** One answer may come from a replica that lags behind, or from an old connection: so many must agree. */
const agreedAnswers = 3;
const betweenAnswersMs = 300;

/** "older" where the server's data are older than the watch, "deaf" where it does not tell what happens. Rejects where the server cannot be asked. */
export async function probeWatch(options: ProbeOptions): Promise<"fine" | "deaf" | "older"> {
  const { clock, resourceVersion } = options;
  let current = await findResourceVersion(options);
  for (let answers = 1; isOlder(current, resourceVersion); answers++) {
    if (answers === agreedAnswers) return "older";
    await new Promise<void>((resolve) => void clock.after(betweenAnswersMs, resolve));
    current = await findResourceVersion(options);
  }
  // Nothing at all has happened since, of any kind.
  if (options.isAfterBreak || current === resourceVersion || options.hasHeard()) return "fine";
  if (!(await hasEventSince(options))) return "fine";
  await new Promise<void>((resolve) => void clock.after(options.limits.graceMs, resolve));
  return options.hasHeard() ? "fine" : "deaf";
}

/** The newest resource version of the server, from a list of one object's metadata that is read from etcd. */
async function findResourceVersion(options: ProbeOptions): Promise<string> {
  const { client, target, version, limits, signal } = options;
  const answer = await client.request({
    path: pathOf(target, version),
    query: { ...selectorOf(target), limit: "1" },
    accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
    timeoutMs: limits.requestTimeoutMs,
    signal,
  });
  return readResourceVersion(answer);
}

/** Whether a second watch, from where the first one stands, tells an event within a short time. */
async function hasEventSince(options: ProbeOptions): Promise<boolean> {
  const { client, target, clock, version, resourceVersion, limits, signal } = options;
  const seconds = Math.max(1, Math.round(limits.probeWatchMs / 1000));
  const query = { ...selectorOf(target), resourceVersion, watch: "true", timeoutSeconds: String(seconds) };
  try {
    const stream = await client.stream({
      path: pathOf(target, version),
      query,
      timeoutMs: limits.requestTimeoutMs,
      signal,
    });
    // The server ends it on time, where it is well.
    const overdue = clock.after(limits.probeWatchMs + limits.graceMs, () => stream.close());
    try {
      const lines = new LineSplitter(limits.maxEventBytes);
      for await (const chunk of stream.chunks) for (const line of lines.push(chunk)) if (isEvent(line)) return true;
      return false;
    } finally {
      overdue.close();
      stream.close();
    }
  } catch (cause: unknown) {
    // What the first watch stands on is forgotten: so much has happened that it should have told something.
    if (cause instanceof KubeApiError && cause.status === 410) return true;
    throw cause;
  }
}

/** Anything but a bookmark; an error (an expired version) counts, as above. */
function isEvent(line: string): boolean {
  try {
    return readRecord(JSON.parse(line))["type"] !== "BOOKMARK";
  } catch {
    return false;
  }
}
