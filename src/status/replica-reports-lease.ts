/** Leases that carry reports, in the API server's form (coordination.k8s.io/v1). Pure. */
import { textHash } from "../lib/hash.ts";
import { formatMicroTime } from "./lease-object.ts";
import { readNumber, readRecord, readText } from "./raw.ts";

/** Of all reports of one revision. */
export const reportLabel = "meltemi.dev/proxy-report";
export const reportAnnotation = "meltemi.dev/proxy-counts";

/** Names of objects have at most 253 characters. */
const maxNameLength = 200;
const maxLabelLength = 63;
/** However long a Lease says that it holds. */
const maxDurationMs = 300_000;

/** A Lease with a report, as it was read. */
export interface ReportLease {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Only for telling whether it was renewed; the clock that wrote it is not ours. */
  readonly renewTime: string;
  readonly durationMs: number;
  /** Of the annotation. */
  readonly text: string;
}

export interface ReportLeaseWrite {
  readonly namespace: string;
  readonly podName: string;
  readonly revision: string;
  readonly durationMs: number;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly text: string;
}

/** Name of a replica's Lease, such as "meltemi-proxies-meltemi-6d4f-x2x9k". */
export function formatReportName(podName: string): string {
  const plain = podName
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]/g, "-")
    .slice(0, maxNameLength);
  const isName = plain === podName && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(plain);
  // A name that had to be changed must not become another replica's.
  return `meltemi-proxies-${isName ? plain : textHash(podName)}`;
}

/** Value of the label: the revision, or what stands for it where it is no value of a label. */
export function formatReportLabel(revision: string): string {
  const value = revision === "" ? "default" : revision;
  const isValue = value.length <= maxLabelLength && /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(value);
  return isValue ? value : textHash(value);
}

/** A whole Lease for a server-side apply, which makes it where it is not there. */
export function buildReportLease({ namespace, podName, revision, durationMs, nowMs, text }: ReportLeaseWrite): object {
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: {
      namespace,
      name: formatReportName(podName),
      labels: { [reportLabel]: formatReportLabel(revision) },
      annotations: { [reportAnnotation]: text },
    },
    spec: {
      holderIdentity: podName,
      leaseDurationSeconds: Math.max(1, Math.ceil(durationMs / 1000)),
      renewTime: formatMicroTime(nowMs),
    },
  };
}

export function parseReportLease(raw: unknown): ReportLease {
  const lease = readRecord(raw);
  const metadata = readRecord(lease["metadata"]);
  const spec = readRecord(lease["spec"]);
  const durationMs = readNumber(spec["leaseDurationSeconds"], 0) * 1000;
  return {
    name: readText(metadata["name"]),
    uid: readText(metadata["uid"]),
    resourceVersion: readText(metadata["resourceVersion"]),
    renewTime: readText(spec["renewTime"]),
    durationMs: Math.min(maxDurationMs, Math.max(0, durationMs)),
    text: readText(readRecord(metadata["annotations"])[reportAnnotation]),
  };
}
