/** One request for a debug page, from wherever it came: HTTP or xDS. */
import type { Log } from "../../lib/log.ts";
import type { DebugPort } from "../ports.ts";
import { authorizeDebug, confinePort, type DebugReader, type DebugRules } from "./access.ts";
import { debugPages } from "./pages.ts";
import { type DebugReply, replyText } from "./reply.ts";

export interface DebugSight {
  readonly port: DebugPort;
  readonly reader: DebugReader;
  readonly log: Log;
}

/** What a page says to a reader. One that fails says so, and the next one is served. */
export function respondToDebug(page: string, query: URLSearchParams, { port, reader, log }: DebugSight): DebugReply {
  const found = debugPages.find(({ path }) => path === page);
  if (found === undefined) return replyText(404, "404 page not found\n");
  try {
    return found.handle({ query, port: confinePort(port, reader) });
  } catch (error) {
    log.error("a debug page failed", { path: page, error });
    return replyText(500, `${error instanceof Error ? error.message : String(error)}\n`);
  }
}

/**
 * The body of a page that is asked for as "page?query", which is how it is named over xDS (Istio:
 * pilot/pkg/xds/debuggen.go); undefined where somebody of `namespace` may not see it.
 */
export function answerDebugName(
  name: string,
  namespace: string,
  { port, rules, log }: { readonly port: DebugPort; readonly rules: DebugRules; readonly log: Log },
): string | undefined {
  const mark = name.indexOf("?");
  const [page, query] = mark < 0 ? [name, ""] : [name.slice(0, mark), name.slice(mark + 1)];
  const reader = authorizeDebug(page, namespace, rules);
  if (reader === undefined) return undefined;
  return respondToDebug(page, new URLSearchParams(query), { port, reader, log }).body;
}
