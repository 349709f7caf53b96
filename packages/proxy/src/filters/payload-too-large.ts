import { LocalReplyError } from "../http/exchange.ts";

/** A request with more bytes than a filter may hold. */
export function payloadTooLarge(): LocalReplyError {
  return new LocalReplyError({ status: 413, body: "Payload Too Large", details: "request_payload_too_large" });
}
