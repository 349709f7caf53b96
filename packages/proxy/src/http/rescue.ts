/** The one place in which errors become answers: Envoy's statuses, texts, response code details and flags. */
import { flagOfFailure, reasonOfFailure, UpstreamError } from "../upstream/types.ts";
import { BodyTooLargeError } from "./body.ts";
import { ExchangeResetError, type LocalReply, LocalReplyError } from "./exchange.ts";
import { HeaderList } from "./header-list.ts";

/** What becomes of an error: an answer, or the end of the stream without one. */
export type Rescue =
  | { readonly kind: "reply"; readonly reply: LocalReply }
  | { readonly kind: "reset"; readonly error: ExchangeResetError }
  | { readonly kind: "defect"; readonly reply: LocalReply; readonly cause: unknown };

export function rescue(cause: unknown): Rescue {
  if (cause instanceof LocalReplyError) return { kind: "reply", reply: cause.reply };
  if (cause instanceof UpstreamError) return { kind: "reply", reply: replyToFailure(cause) };
  if (cause instanceof ExchangeResetError) return { kind: "reset", error: cause };
  if (cause instanceof BodyTooLargeError) {
    return { kind: "reply", reply: { status: 413, body: "Payload Too Large", details: "request_payload_too_large" } };
  }
  return { kind: "defect", reply: { status: 500, body: "", details: "internal_error" }, cause };
}

/** The answer to a request that no upstream has answered. */
export function replyToFailure({ failure, transportFailure }: UpstreamError): LocalReply {
  const flags = [flagOfFailure[failure]];
  if (failure === "no-cluster") return { status: 503, body: "", flags, details: "cluster_not_found" };
  if (failure === "no-healthy-upstream") {
    return { status: 503, body: "no healthy upstream", flags, details: "no_healthy_upstream" };
  }
  if (failure === "drop-overload" || failure === "unconditional-drop-overload") {
    const body = failure.replaceAll("-", " ");
    return { status: 503, body, flags, details: body.replaceAll(" ", "_") };
  }
  if (failure === "dns-failure") {
    return { status: 503, body: "DNS resolution failure", flags, details: "dns_resolution_failure" };
  }
  if (failure === "max-duration") {
    const body = "upstream max stream duration reached";
    return { status: 504, body, flags, details: "upstream_max_stream_duration_reached" };
  }
  const reason = reasonOfFailure[failure];
  const transport = transportFailure === "" ? "" : `|${transportFailure}`;
  return {
    status: failure === "protocol-error" ? 502 : 503,
    body: `upstream connect error or disconnect/reset before headers. reset reason: ${reason}`,
    flags,
    details: `upstream_reset_before_response_started{${`${reason}${transport}`.replaceAll(/\s/g, "_")}}`,
    ...(failure === "overflow" ? { headers: new HeaderList(["x-envoy-overloaded", "true"]) } : {}),
  };
}

/** gRPC's status for an HTTP status, by gRPC's own table. */
export function grpcStatusOf(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

/** Text as it may stand in grpc-message: printable ASCII but "%" as it is, all other bytes of UTF-8 percent-encoded. */
export function encodeGrpcMessage(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** True for the content type of gRPC, not of gRPC-Web. */
export function isGrpcType(contentType: string | undefined): boolean {
  if (contentType === undefined || !contentType.startsWith("application/grpc")) return false;
  return contentType.length === 16 || contentType[16] === "+";
}
