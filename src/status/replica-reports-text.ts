/** Reports as the text of an annotation: bounded in size, and read without trust. Pure. */
import { gunzipSync, gzipSync } from "node:zlib";
import type { ReplicaCount, ReplicaReport } from "./distribution-sum.ts";
import { readList, readNumber, readRecord, readText } from "./raw.ts";

/** Longer texts are packed. */
const maxPlainLength = 4096;
/** All annotations of an object together may have 256 KiB. */
export const maxReportLength = 128 * 1024;
/** What a packed text may grow to, in bytes. */
const maxUnpackedBytes = 16 * 1024 * 1024;
const maxRefusalLength = 300;
const maxObjects = 100_000;
const maxCount = 10_000_000;
/** Twice as fast as the usual one: packed in the same thread that serves proxies. */
const packLevel = 3;
const packedPrefix = "gzip:";
const formatVersion = 1;

export interface ReportText {
  readonly text: string;
  /** Objects that found no room. */
  readonly dropped: number;
}

/**
 * The report as text of at most `maxLength` characters. Where that is too little, the objects that most depends on stay:
 * first those that are not live everywhere, then those that most proxies use.
 */
export function formatReport(report: ReplicaReport, maxLength = maxReportLength): ReportText {
  const all = [...report.counts];
  const whole = formatEntries(all, report.isPartial);
  if (whole.length <= maxLength) return { text: whole, dropped: 0 };
  const ranked = all.sort(compareEntries);
  // Entries pack about equally well, so that the first guess is mostly right.
  const guess = Math.floor(ranked.length * 0.9 * (maxLength / whole.length));
  for (let kept = guess; kept > 0; kept = Math.floor((kept * 3) / 4)) {
    const text = formatEntries(ranked.slice(0, kept), true);
    if (text.length <= maxLength) return { text, dropped: ranked.length - kept };
  }
  return { text: formatEntries([], true), dropped: ranked.length };
}

/** The report that a text holds; one that cannot be read says of everything that it does not speak of it. */
export function parseReport(text: string): ReplicaReport {
  try {
    const report = readRecord(JSON.parse(text.startsWith(packedPrefix) ? unpack(text) : text));
    if (report["version"] !== formatVersion) return unreadable;
    const entries = Object.entries(readRecord(report["objects"])).slice(0, maxObjects);
    return {
      isPartial: report["partial"] === true,
      counts: new Map(entries.map(([key, raw]) => [key, readCount(raw)])),
    };
  } catch {
    return unreadable;
  }
}

const unreadable: ReplicaReport = { isPartial: true, counts: new Map() };

type Entry = readonly [key: string, count: ReplicaCount];

function formatEntries(entries: readonly Entry[], isPartial: boolean): string {
  const objects = Object.fromEntries(
    entries.map(([key, { uid, generation, using, live, refused, refusal }]) => {
      const counts = [uid, generation, using, live];
      return [key, refused === 0 ? counts : [...counts, refused, refusal.slice(0, maxRefusalLength)]];
    }),
  );
  const text = JSON.stringify({ version: formatVersion, ...(isPartial ? { partial: true } : {}), objects });
  return text.length <= maxPlainLength
    ? text
    : `${packedPrefix}${gzipSync(text, { level: packLevel }).toString("base64")}`;
}

function unpack(text: string): string {
  const packed = Buffer.from(text.slice(packedPrefix.length), "base64");
  return gunzipSync(packed, { maxOutputLength: maxUnpackedBytes }).toString("utf8");
}

function readCount(raw: unknown): ReplicaCount {
  const [uid, generation, using, live, refused, refusal] = readList(raw);
  const all = readWhole(using);
  return {
    uid: readText(uid),
    generation: readWhole(generation),
    using: all,
    live: Math.min(all, readWhole(live)),
    refused: Math.min(all, readWhole(refused)),
    refusal: readText(refusal).slice(0, maxRefusalLength),
  };
}

function readWhole(raw: unknown): number {
  return Math.min(maxCount, Math.max(0, Math.trunc(readNumber(raw, 0))));
}

function compareEntries([oneKey, one]: Entry, [otherKey, other]: Entry): number {
  const byLag = Number(other.live < other.using) - Number(one.live < one.using);
  return byLag || other.using - one.using || (oneKey < otherKey ? -1 : 1);
}
