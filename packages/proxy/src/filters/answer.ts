/**
 * Changes to the head of an answer, whoever gives it: Envoy leads a reply of its own through the same filters as one from
 * the upstream, and only the filters before the one that replied are layers around it here.
 */
import { type Exchange, type HttpHandler, type LocalReply, LocalReplyError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import type { HttpResponse } from "../http/message.ts";

export interface AnswerHead {
  readonly status: number;
  readonly headers: HeaderList;
  /** True for a reply that this proxy makes itself. */
  readonly isLocal: boolean;
}

/** Hands a request on and changes the head of what comes back. */
export async function withAnswer(
  exchange: Exchange,
  next: HttpHandler,
  change: (head: AnswerHead) => void,
): Promise<HttpResponse> {
  try {
    const response = await next(exchange);
    change({ status: response.status, headers: response.headers, isLocal: false });
    return response;
  } catch (cause: unknown) {
    throw cause instanceof LocalReplyError ? changeReply(cause.reply, change) : cause;
  }
}

function changeReply(reply: LocalReply, change: (head: AnswerHead) => void): LocalReplyError {
  const headers = reply.headers?.clone() ?? new HeaderList();
  change({ status: reply.status, headers, isLocal: true });
  return new LocalReplyError({ ...reply, headers });
}
