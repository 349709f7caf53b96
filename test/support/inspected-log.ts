import { inspect } from "node:util";
import { type Log, silentLog } from "../../src/lib/log.ts";

/** A log that keeps its lines with all that is in their fields, errors and their causes too. */
export function createInspectedLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const keep = (text: string, fields: unknown): void => {
    lines.push(`${text} ${inspect(fields, { depth: 8, breakLength: Number.POSITIVE_INFINITY })}`);
  };
  const log: Log = { ...silentLog, info: keep, warn: keep, error: keep, child: () => log };
  return { log, lines };
}
