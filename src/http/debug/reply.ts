/** Replies of the debug pages, in istiod's manner (pilot/pkg/xds/debug.go). */
import type { DebugPort } from "../ports.ts";

export interface DebugReply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** A request as the pages see it: only the query counts. */
export interface DebugRequest {
  readonly query: URLSearchParams;
  readonly port: DebugPort;
}

export type DebugHandler = (request: DebugRequest) => DebugReply;

/** JSON, indented where the query has `pretty`. */
export function replyJson({ query }: Pick<DebugRequest, "query">, value: unknown): DebugReply {
  return replyIndentedJson(value, query.has("pretty") ? 2 : 0);
}

export function replyIndentedJson(value: unknown, indent: number): DebugReply {
  return { status: 200, contentType: "application/json", body: JSON.stringify(value, null, indent) };
}

export function replyText(status: number, body: string): DebugReply {
  return { status, contentType: "text/plain; charset=utf-8", body };
}
