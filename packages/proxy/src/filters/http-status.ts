import { STATUS_CODES } from "node:http";
import type { HttpStatus } from "@meltemi/protos/envoy/type/v3";

/** Envoy names a status as HTTP does, without what is no letter: "TooManyRequests". */
const byName = new Map(
  Object.entries(STATUS_CODES).map(([code, text = ""]) => [text.replaceAll(/[^A-Za-z]/g, ""), Number(code)]),
);

/** The number of a status; undefined where there is none. */
export function statusOf(wire: HttpStatus | undefined): number | undefined {
  const code: unknown = wire?.code;
  if (typeof code === "number") return code === 0 ? undefined : code;
  return typeof code === "string" ? byName.get(code) : undefined;
}
