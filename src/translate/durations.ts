/** Durations of specs on the wire. */
import { duration } from "@meltemi/protos";
import type { Duration } from "@meltemi/protos/google/protobuf";
import { parseDuration } from "../lib/duration.ts";

/** A duration that is there. The schema has checked the text; were it none, it would count as zero. */
export function toDuration(text: string): Duration {
  return duration(parseDuration(text) ?? 0);
}

/** A duration that may be there; undefined also where the text is none, so that the default holds. */
export function toOptionalDuration(text: string | undefined): Duration | undefined {
  const ms = text === undefined ? undefined : parseDuration(text);
  return ms === undefined ? undefined : duration(ms);
}
