/**
 * Names of spans by routes, and what is told of them to the other side in x-envoy-decorator-operation: who calls tells the
 * server by the request, and the server tells its caller by the answer. See Envoy's documentation of that header.
 */
import type { Exchange } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { Span } from "./types.ts";

const header = "x-envoy-decorator-operation";

/** Names the span of a request. The operation that its answer has to tell; undefined for none. */
export function decorateRequest({ request, route, span }: Exchange, isEgress: boolean): string | undefined {
  const decorator = route?.decorator;
  if (decorator !== undefined) span?.setOperation(decorator.operation);
  const told = decorator?.propagates === true ? decorator.operation : undefined;
  const { headers } = request;
  if (isEgress) {
    if (told !== undefined) headers.set(header, told);
    return undefined;
  }
  const named = headers.get(header);
  if (named === undefined) return told;
  headers.remove(header);
  if (named === "") return told;
  span?.setOperation(named);
  return undefined;
}

/** Tells the caller, or takes the name that the server told. */
export function decorateResponse(
  headers: HeaderList,
  {
    told,
    span,
    isEgress,
  }: { readonly told: string | undefined; readonly span: Span | undefined; readonly isEgress: boolean },
): void {
  if (!isEgress) {
    if (told !== undefined) headers.set(header, told);
    return;
  }
  const named = headers.get(header);
  if (named === undefined) return;
  if (named !== "") span?.setOperation(named);
  headers.remove(header);
}
