/** The head of an answer as the client gets it. */
import { type Exchange, LocalReplyError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import type { ResponseFlag } from "../http/response-flags.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { runMutations } from "./header-mutation.ts";

/** Changes what the route has changed, last of all the number of attempts. */
export function finishHeaders(
  { info, request }: Exchange,
  route: CompiledRoute,
  { headers, cookies }: { readonly headers: HeaderList; readonly cookies: readonly string[] },
): void {
  for (const cookie of cookies) headers.append("set-cookie", cookie);
  const { responseMutations, host } = route.rules;
  if (responseMutations.length > 0)
    runMutations(responseMutations, headers, { info, request, responseHeaders: headers });
  if (host.countsAttemptsInResponse && info.attempts > 0) headers.set("x-envoy-attempt-count", String(info.attempts));
}

/** The proxy's own replies get the same headers as the upstream's answers. */
export function finishReply(
  exchange: Exchange,
  route: CompiledRoute,
  { reply: { reply }, flags }: { readonly reply: LocalReplyError; readonly flags: readonly ResponseFlag[] },
): LocalReplyError {
  const headers = reply.headers?.clone() ?? new HeaderList();
  finishHeaders(exchange, route, { headers, cookies: [] });
  return new LocalReplyError({ ...reply, headers, flags: [...(reply.flags ?? []), ...flags] });
}
