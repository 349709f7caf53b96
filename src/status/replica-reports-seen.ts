/**
 * Which replicas are there, as their Leases show it. Pure: times are those of a clock that never goes back, and a Lease is
 * alive for as long as it was seen to change, however wrong the clock of its writer is.
 */
import type { ReplicaReport } from "./distribution-sum.ts";
import type { ReportLease } from "./replica-reports-lease.ts";
import { parseReport } from "./replica-reports-text.ts";

export interface SeenReport {
  readonly lease: ReportLease;
  /** The same object while the text is the same. */
  readonly report: ReplicaReport;
  /** How long it was looked at without a change, in milliseconds. */
  readonly unchangedMs: number;
}

export interface SeenReports {
  readonly byName: ReadonlyMap<string, SeenReport>;
  readonly lookedAt: number;
}

export interface LookTimes {
  readonly now: number;
  /**
   * Of the time since the last look, at most so much counts: who did not look cannot say that nothing was renewed, and
   * when an API server returns its writers need a moment as well.
   */
  readonly maxGapMs: number;
}

export const nothingSeen: SeenReports = { byName: new Map(), lookedAt: 0 };

/** What is known after a look at all Leases. */
export function observeReports(before: SeenReports, leases: readonly ReportLease[], { now, maxGapMs }: LookTimes) {
  const passedMs = Math.min(maxGapMs, Math.max(0, now - before.lookedAt));
  const byName = new Map<string, SeenReport>();
  for (const lease of leases) {
    const known = before.byName.get(lease.name);
    const isSame = known?.lease.uid === lease.uid && known.lease.renewTime === lease.renewTime;
    byName.set(lease.name, {
      lease,
      report: known?.lease.text === lease.text ? known.report : parseReport(lease.text),
      unchangedMs: isSame ? known.unchangedMs + passedMs : 0,
    });
  }
  return { byName, lookedAt: now } satisfies SeenReports;
}

/** Reports of replicas that are there, by name. */
export function listAlive({ byName }: SeenReports): readonly ReplicaReport[] {
  return [...byName.values()]
    .filter(({ lease, unchangedMs }) => unchangedMs < lease.durationMs)
    .sort((a, b) => (a.lease.name < b.lease.name ? -1 : 1))
    .map(({ report }) => report);
}

/** Leases that ended so long ago that nobody will renew them. */
export function listForgotten({ byName }: SeenReports, keepMs: number): readonly ReportLease[] {
  return [...byName.values()]
    .filter(({ lease, unchangedMs }) => unchangedMs >= lease.durationMs + keepMs)
    .map(({ lease }) => lease);
}
