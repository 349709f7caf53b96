/** Makes of a request what goes to the upstream: headers, host and path as the route has them. */
import type { Exchange } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import type { ForwardRules } from "./forward-rules.ts";
import { runMutations } from "./header-mutation.ts";
import { updateAuthority } from "./host-rewrite.ts";
import type { PathRewrite } from "./path-rewrite.ts";

export function prepareRequest(
  exchange: Exchange,
  route: CompiledRoute,
  { rules, suppressesHeaders }: { readonly rules: ForwardRules; readonly suppressesHeaders: boolean },
): void {
  const { request, info } = exchange;
  const { requestMutations } = route.rules;
  if (requestMutations.length > 0) runMutations(requestMutations, request.headers, { info, request });
  const host = rules.rewriteHost?.(request);
  if (host !== undefined) updateAuthority(request, host, rules.appendsForwardedHost);
  rewritePath(exchange, rules.rewritePath, suppressesHeaders);
}

/** The path that the client asked for is told to the upstream, unless such headers are suppressed. */
export function rewritePath({ request }: Exchange, rewrite: PathRewrite | undefined, suppressesHeaders: boolean): void {
  if (rewrite === undefined) return;
  const former = request.path;
  request.path = rewrite(former);
  if (!suppressesHeaders) request.headers.set("x-envoy-original-path", former);
}

/** One look tells that none of the headers is there with which clients direct the router. */
export function hasEnvoyHeaders({ raw }: HeaderList): boolean {
  for (let index = 0; index < raw.length; index += 2) if (raw[index]?.startsWith("x-envoy-")) return true;
  return false;
}
