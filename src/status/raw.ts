/** Reads what an API server answers without trusting it. */

export type RawRecord = Readonly<Record<string, unknown>>;

const nothing: RawRecord = {};

export function readRecord(raw: unknown): RawRecord {
  return typeof raw === "object" && raw !== null && !Array.isArray(raw) ? (raw as RawRecord) : nothing;
}

export function readList(raw: unknown): readonly unknown[] {
  return Array.isArray(raw) ? raw : [];
}

export function readText(raw: unknown): string {
  return typeof raw === "string" ? raw : "";
}

/** Also from text: protobuf's JSON writes 64-bit numbers so. */
export function readNumber(raw: unknown, otherwise: number): number {
  const value = typeof raw === "string" && raw !== "" ? Number(raw) : raw;
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}
