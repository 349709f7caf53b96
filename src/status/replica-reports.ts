/**
 * What replicas tell the leader about their proxies: each that does not lead keeps a Lease with its counts, and the leader
 * reads them all. Serving proxies needs none of it, and what fails here costs only the counts.
 */
import { KubeApiError, type KubeClient } from "../kube/kube-client.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { isSameList } from "../lib/same-list.ts";
import type { ReplicaReport } from "./distribution-sum.ts";
import { readList, readRecord } from "./raw.ts";
import {
  buildReportLease,
  formatReportLabel,
  formatReportName,
  parseReportLease,
  type ReportLease,
  reportLabel,
} from "./replica-reports-lease.ts";
import { listAlive, listForgotten, nothingSeen, observeReports } from "./replica-reports-seen.ts";
import { formatReport, maxReportLength } from "./replica-reports-text.ts";

/** All in milliseconds, but for the last. */
export interface ReplicaReportLimits {
  /** Counts are taken so long after the first notice: a change and its way to the proxies come close together. */
  readonly settleMs: number;
  /** Time between two counts, and between two looks of the leader. */
  readonly lookMs: number;
  /** A Lease that says nothing new is written again after so long. */
  readonly renewMs: number;
  /** So long a replica counts that does not renew. */
  readonly leaseMs: number;
  /** A Lease that ended so long ago is deleted. */
  readonly keepMs: number;
  /** After a refusal that another attempt does not mend. */
  readonly blockMs: number;
  /** Of the text of one report, in characters. */
  readonly maxLength: number;
}

export const defaultReplicaReportLimits: ReplicaReportLimits = {
  settleMs: 500,
  lookMs: 2000,
  renewMs: 10_000,
  leaseMs: 30_000,
  keepMs: 300_000,
  blockMs: 60_000,
  maxLength: maxReportLength,
};

export interface ReplicaReportsOptions {
  readonly client: KubeClient;
  /** Of the Leases: the control plane's own. */
  readonly namespace: string;
  readonly podName: string;
  /** Replicas of other revisions have proxies of their own, and leaders. */
  readonly revision: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly election: { isLeader(): boolean; onChange(listener: (isLeader: boolean) => void): unknown };
  /** What this replica has to say now. */
  readonly buildReport: () => ReplicaReport;
  /** Other replicas have something else to say, or are there no longer. */
  readonly onChange: () => void;
  readonly limits?: Partial<ReplicaReportLimits>;
}

export interface ReplicaReports {
  start(): void;
  /** Takes this replica's Lease away, so that its proxies are not counted any more. */
  stop(): Promise<void>;
  /** The own counts may differ. */
  notify(): void;
  /** Reports of the other replicas; none while this process does not lead. */
  list(): readonly ReplicaReport[];
}

/** Creates what tells or, while this process leads, reads reports; from start() on. */
export function createReplicaReports(options: ReplicaReportsOptions): ReplicaReports {
  return new Reports(options);
}

/** More replicas than anybody runs; what else has the label is not looked at. */
const maxReplicas = 200;
const maxDeletions = 20;
const requestTimeoutMs = 5000;
const withdrawTimeoutMs = 2000;
/** So soon after an API server returned, replicas renew at the latest: a third of what they count for. */
const maxPauseMs = 10_000;

class Reports implements ReplicaReports {
  readonly #options: ReplicaReportsOptions;
  readonly #limits: ReplicaReportLimits;
  readonly #path: string;
  readonly #name: string;
  readonly #stopping = new AbortController();
  #isStarted = false;
  #term = 0;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #seen = nothingSeen;
  #alive: readonly ReplicaReport[] = [];
  /** When the counts changed that are not told yet; undefined where none did. */
  #dirtySince: number | undefined;
  /** When counts were last taken, or the leader last looked. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #text = "";
  /** What was last written, and when; undefined where the Lease is not known to be there as written. */
  #written: { readonly text: string; readonly at: number } | undefined;
  #mayExist = false;
  #pausedUntil = 0;
  #failures = 0;
  #isRefusalSaid = false;
  #isDropSaid = false;

  constructor(options: ReplicaReportsOptions) {
    this.#options = options;
    this.#limits = { ...defaultReplicaReportLimits, ...options.limits };
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(options.namespace)}/leases`;
    this.#name = formatReportName(options.podName);
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#options.election.onChange(() => this.#beginTerm());
    this.#beginTerm();
  }

  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#timer?.close();
    await this.#running;
    if (this.#mayExist) await this.#withdraw();
  }

  notify(): void {
    this.#dirtySince ??= this.#now;
    this.#schedule();
  }

  list(): readonly ReplicaReport[] {
    return this.#leads ? this.#alive : [];
  }

  get #now(): number {
    return this.#options.clock.monotonic();
  }

  get #leads(): boolean {
    return this.#options.election.isLeader();
  }

  /** A leader knows nothing of what another saw, and a follower's Lease was deleted while it led. */
  #beginTerm(): void {
    this.#term += 1;
    this.#seen = nothingSeen;
    this.#alive = [];
    this.#text = "";
    this.#written = undefined;
    this.#lookedAt = Number.NEGATIVE_INFINITY;
    this.notify();
  }

  get #dueAt(): number {
    const { lookMs, renewMs } = this.#limits;
    if (this.#leads) return this.#lookedAt + lookMs;
    const renewAt = this.#written === undefined ? this.#lookedAt + lookMs : this.#written.at + renewMs;
    return Math.min(this.#countAt, renewAt);
  }

  get #countAt(): number {
    if (this.#text === "") return this.#lookedAt;
    if (this.#dirtySince === undefined) return Number.POSITIVE_INFINITY;
    const { lookMs, settleMs } = this.#limits;
    return Math.max(this.#dirtySince + settleMs, this.#lookedAt + lookMs);
  }

  #schedule(): void {
    this.#timer?.close();
    this.#timer = undefined;
    if (this.#running !== undefined || !this.#isStarted || this.#stopping.signal.aborted) return;
    const delayMs = Math.max(0, Math.max(this.#dueAt, this.#pausedUntil) - this.#now);
    this.#timer = this.#options.clock.after(delayMs, () => this.#run());
  }

  #run(): void {
    this.#timer = undefined;
    this.#running = (this.#leads ? this.#look() : this.#tell())
      .catch((cause: unknown) => this.#noteFailed(cause))
      .finally(() => {
        this.#running = undefined;
        this.#schedule();
      });
  }

  /** Writes the own counts where they differ from what is written, or that has to be renewed. */
  async #tell(): Promise<void> {
    const { client, clock, namespace, podName, revision } = this.#options;
    if (this.#now >= this.#countAt) this.#count();
    const text = this.#text;
    const { leaseMs, renewMs } = this.#limits;
    const at = this.#now;
    if (this.#written?.text === text && at < this.#written.at + renewMs) return;
    const body = buildReportLease({ namespace, podName, revision, durationMs: leaseMs, nowMs: clock.now(), text });
    const term = this.#term;
    this.#mayExist = true;
    await client.request({
      method: "PATCH",
      path: `${this.#path}/${this.#name}`,
      // Nobody else writes this Lease: what is there is this replica's, or of its predecessor of that name.
      query: { fieldManager: "meltemi-proxies", force: "true" },
      body,
      contentType: "application/apply-patch+yaml",
      // Never given up half way: it must not be written after it was taken away.
      timeoutMs: requestTimeoutMs,
    });
    if (term === this.#term) this.#written = { text, at };
    this.#noteAnswered();
  }

  #count(): void {
    const { buildReport, log } = this.#options;
    this.#dirtySince = undefined;
    this.#lookedAt = this.#now;
    const { text, dropped } = formatReport(buildReport(), this.#limits.maxLength);
    this.#text = text;
    if (dropped === 0) this.#isDropSaid = false;
    else if (!this.#isDropSaid) {
      log.warn("not all objects have room in what the leader is told; it says of the rest 'at least'", { dropped });
      this.#isDropSaid = true;
    }
  }

  /** Reads what the others say, and clears away what nobody renews any more. */
  async #look(): Promise<void> {
    const { client, revision, onChange } = this.#options;
    const term = this.#term;
    this.#lookedAt = this.#now;
    // From the server's memory: what is a moment old will do, and is read often.
    const query = { labelSelector: `${reportLabel}=${formatReportLabel(revision)}`, resourceVersion: "0" };
    const request = { path: this.#path, query, timeoutMs: requestTimeoutMs, signal: this.#stopping.signal };
    const list = readRecord(await client.request(request));
    this.#noteAnswered();
    if (term !== this.#term || !this.#leads) return;
    const leases = readList(list["items"]).slice(0, maxReplicas).map(parseReportLease);
    const others = leases.filter(({ name }) => name !== this.#name);
    this.#seen = observeReports(this.#seen, others, { now: this.#now, maxGapMs: this.#limits.lookMs * 2 });
    const alive = listAlive(this.#seen);
    if (!isSameList(alive, this.#alive)) {
      this.#alive = alive;
      onChange();
    }
    // A leader says in the statuses what it has to say.
    const own = leases.filter(({ name }) => name === this.#name);
    for (const lease of [...own, ...listForgotten(this.#seen, this.#limits.keepMs)].slice(0, maxDeletions)) {
      await this.#delete(lease);
      if (term !== this.#term || this.#stopping.signal.aborted) return;
    }
  }

  /** Only the Lease that was seen: one that was renewed meanwhile stays. What stays does no harm and is tried again. */
  async #delete({ name, uid, resourceVersion }: ReportLease): Promise<void> {
    const { client, log } = this.#options;
    const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid, resourceVersion } };
    const path = `${this.#path}/${encodeURIComponent(name)}`;
    try {
      await client.request({ method: "DELETE", path, body, timeoutMs: requestTimeoutMs });
    } catch (error) {
      log.debug("a Lease with counts could not be deleted", { lease: name, error });
    }
  }

  /** Failing to costs the others only time: it ends by itself. */
  async #withdraw(): Promise<void> {
    const { client, log } = this.#options;
    try {
      await client.request({ method: "DELETE", path: `${this.#path}/${this.#name}`, timeoutMs: withdrawTimeoutMs });
    } catch (error) {
      if (error instanceof KubeApiError && error.status === 404) return;
      log.debug("the counts of this replica could not be taken away; they end by themselves", { error });
    }
  }

  #noteAnswered(): void {
    if (this.#failures > 0) this.#options.log.info("replicas know of each other's proxies again");
    this.#failures = 0;
    this.#isRefusalSaid = false;
  }

  #noteFailed(error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    const { log } = this.#options;
    this.#dirtySince ??= this.#now;
    this.#failures += 1;
    if (isLasting(error)) {
      const report = this.#isRefusalSaid ? log.debug : log.warn;
      this.#isRefusalSaid = true;
      report("proxies of other replicas are not in the statuses", { error });
      this.#pausedUntil = this.#now + this.#limits.blockMs;
      return;
    }
    const told = error instanceof KubeApiError ? error.retryAfterMs : undefined;
    const delayMs = told ?? Math.min(this.#limits.lookMs * 2 ** Math.min(this.#failures - 1, 6), maxPauseMs);
    const report = this.#failures === 1 ? log.warn : log.debug;
    report("replicas do not know of each other's proxies for now", { error, retryMs: delayMs });
    this.#pausedUntil = this.#now + delayMs;
  }
}

/** Neither time nor another attempt mends it: no right to it, or nothing there to write it to. */
function isLasting(cause: unknown): boolean {
  return cause instanceof KubeApiError && [400, 401, 403, 404, 405, 413, 422].includes(cause.status);
}
