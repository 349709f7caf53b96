/** Leases in the API server's form. */
import { formatInstant } from "../lib/clock.ts";
import type { LeaseRecord } from "./lease.ts";
import { readNumber, readRecord, readText } from "./raw.ts";

export interface LeaseWrite {
  readonly namespace: string;
  readonly name: string;
  readonly holder: string;
  readonly durationMs: number;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** The Lease as it was last seen; undefined to create one. */
  readonly over: LeaseRecord | undefined;
}

export function parseLease(raw: unknown): LeaseRecord {
  const lease = readRecord(raw);
  const spec = readRecord(lease["spec"]);
  return {
    holder: readText(spec["holderIdentity"]),
    durationMs: readNumber(spec["leaseDurationSeconds"], 0) * 1000,
    acquireTime: readText(spec["acquireTime"]),
    renewTime: readText(spec["renewTime"]),
    transitions: readNumber(spec["leaseTransitions"], 0),
    resourceVersion: readText(readRecord(lease["metadata"])["resourceVersion"]),
  };
}

/** A whole Lease for POST or PUT; the resource version makes the server refuse it where somebody else was faster. */
export function buildLease({ namespace, name, holder, durationMs, nowMs, over }: LeaseWrite): object {
  const now = formatMicroTime(nowMs);
  const isNewHolder = over?.holder !== holder && holder !== "";
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { namespace, name, ...(over === undefined ? {} : { resourceVersion: over.resourceVersion }) },
    spec: {
      holderIdentity: holder,
      leaseDurationSeconds: Math.max(1, Math.ceil(durationMs / 1000)),
      acquireTime: isNewHolder || over === undefined || over.acquireTime === "" ? now : over.acquireTime,
      renewTime: now,
      leaseTransitions: (over?.transitions ?? 0) + (isNewHolder && over !== undefined ? 1 : 0),
    },
  };
}

/** The API server reads a MicroTime only with all six digits. */
export function formatMicroTime(epochMs: number): string {
  return formatInstant(epochMs).replace(/Z$/, "000Z");
}
