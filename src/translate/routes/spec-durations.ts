import { duration } from "@meltemi/protos";
import type { Duration } from "@meltemi/protos/google/protobuf";
import { parseDuration } from "../../lib/duration.ts";

/** A duration of a spec on the wire. The schema has checked the text; were it none, it would count as zero. */
export function toDuration(text: string): Duration {
  return duration(parseDuration(text) ?? 0);
}
