/** Whether a request is traced, which its id says: the first digit of the third part of the UUID. */
import type { LogEntry } from "./types.ts";

/** "4" is not traced; "9" was chosen at random, "a" by the proxy's configuration (forced), "b" by the client. */
export const traceReasonPlace = 14;

export function isTraceable({ request }: LogEntry): boolean {
  const digit = request?.headers.get("x-request-id")?.[traceReasonPlace];
  return digit === "9" || digit === "a" || digit === "b";
}
