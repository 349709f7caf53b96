/** The head of an answer as the client gets it. */
import { type Exchange, LocalReplyError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import type { ResponseFlag } from "../http/response-flags.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { entryOf, runMutations } from "./header-mutation.ts";

/** Changes what the route has changed, last of all the number of attempts. */
export function finishHeaders(
  exchange: Exchange,
  route: CompiledRoute,
  { headers, cookies }: { readonly headers: HeaderList; readonly cookies: readonly string[] },
): void {
  for (const cookie of cookies) headers.append("set-cookie", cookie);
  const { responseMutations } = route.rules;
  if (responseMutations.length > 0) runMutations(responseMutations, headers, entryOf(exchange, headers));
  countAttempts(exchange, route, headers);
}

function countAttempts({ info }: Exchange, { rules }: CompiledRoute, headers: HeaderList): void {
  if (!rules.host.countsAttemptsInResponse || info.attempts === 0) return;
  headers.set("x-envoy-attempt-count", String(info.attempts));
}

/** A reply of the router's own: what the route changes of its head, it changes of those of all filters. */
export function finishReply(
  exchange: Exchange,
  route: CompiledRoute,
  { reply: { reply }, flags }: { readonly reply: LocalReplyError; readonly flags: readonly ResponseFlag[] },
): LocalReplyError {
  const headers = reply.headers?.clone() ?? new HeaderList();
  countAttempts(exchange, route, headers);
  return new LocalReplyError({ ...reply, headers, flags: [...flags, ...(reply.flags ?? [])] });
}
