import type { Flags } from "../config/flags.ts";
import type { Log } from "../lib/log.ts";
export async function serveUntilSignal(_flags: Flags, _log: Log): Promise<void> {}
