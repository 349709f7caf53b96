import { KubeApiError, KubeConnectionError } from "../../kube/kube-client.ts";
import { GarbledWatchError } from "./event-lines.ts";

/** Why an attempt failed, as far as it decides what to do next. */
export interface Failure {
  readonly type: /** Nobody answered, or the connection broke. */
    | "unreached"
    /** The resource version (or the token of the next page) is too old: etcd has forgotten it. */
    | "expired"
    /** The server we reached is behind the one that gave us the resource version. */
    | "ahead"
    /** The server does not know what we asked for as a streamed list. */
    | "unsupported"
    | "forbidden"
    | "missing"
    /** The answer was not what a watch sends. */
    | "garbled"
    /** Everything else: too many requests, an overloaded or broken server, credentials it does not take. */
    | "refused";
  readonly text: string;
  readonly retryAfterMs: number | undefined;
}

/** Says what an error of a request or a watch means. */
export function classifyFailure(cause: unknown): Failure {
  const text = cause instanceof Error ? cause.message : "an unknown error";
  const retryAfterMs = cause instanceof KubeApiError ? cause.retryAfterMs : undefined;
  return { type: findType(cause), text, retryAfterMs };
}

function findType(cause: unknown): Failure["type"] {
  if (cause instanceof KubeConnectionError) return "unreached";
  if (cause instanceof GarbledWatchError) return "garbled";
  if (!(cause instanceof KubeApiError)) return "refused";
  // A Timeout whose text names the resource version: the API has no reason of its own for it.
  if (/too large resource version/i.test(cause.message)) return "ahead";
  if (cause.status === 410 || cause.reason === "Expired" || cause.reason === "Gone") return "expired";
  if (cause.status === 403) return "forbidden";
  if (cause.status === 404) return "missing";
  return cause.status === 400 || cause.status === 422 ? "unsupported" : "refused";
}
