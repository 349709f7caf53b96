/** TLS failures in Envoy's words: "TLS_error:|CODE:SSL routines:OPENSSL_internal:REASON:TLS_error_end". */

/** The error library's part of a code of BoringSSL. */
const libraryCode = 268_435_456;

/** Reason numbers of BoringSSL (include/openssl/ssl.h) by name; those of alerts are 1000 and the alert. */
const reasons: ReadonlyMap<string, number> = new Map([
  ["CERTIFICATE_VERIFY_FAILED", 125],
  ["HTTP_REQUEST", 156],
  ["NO_SHARED_CIPHER", 184],
  ["PEER_DID_NOT_RETURN_A_CERTIFICATE", 192],
  ["UNSUPPORTED_PROTOCOL", 240],
  ["WRONG_VERSION_NUMBER", 247],
]);

const alerts: ReadonlyMap<number, string> = new Map([
  [10, "SSLV3_ALERT_UNEXPECTED_MESSAGE"],
  [20, "SSLV3_ALERT_BAD_RECORD_MAC"],
  [40, "SSLV3_ALERT_HANDSHAKE_FAILURE"],
  [42, "SSLV3_ALERT_BAD_CERTIFICATE"],
  [43, "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"],
  [44, "SSLV3_ALERT_CERTIFICATE_REVOKED"],
  [45, "SSLV3_ALERT_CERTIFICATE_EXPIRED"],
  [46, "SSLV3_ALERT_CERTIFICATE_UNKNOWN"],
  [47, "SSLV3_ALERT_ILLEGAL_PARAMETER"],
  [48, "TLSV1_ALERT_UNKNOWN_CA"],
  [49, "TLSV1_ALERT_ACCESS_DENIED"],
  [50, "TLSV1_ALERT_DECODE_ERROR"],
  [51, "TLSV1_ALERT_DECRYPT_ERROR"],
  [70, "TLSV1_ALERT_PROTOCOL_VERSION"],
  [71, "TLSV1_ALERT_INSUFFICIENT_SECURITY"],
  [80, "TLSV1_ALERT_INTERNAL_ERROR"],
  [112, "TLSV1_ALERT_UNRECOGNIZED_NAME"],
  [116, "TLSV1_ALERT_CERTIFICATE_REQUIRED"],
  [120, "TLSV1_ALERT_NO_APPLICATION_PROTOCOL"],
]);

/** Why a peer's certificate was not taken; counted apart by Envoy. */
export type VerifyFailure = "fail_verify_no_cert" | "fail_verify_error" | "fail_verify_san" | "fail_verify_cert_hash";

/** A handshake that failed. The message is the transport failure reason. */
export class TlsError extends Error {
  readonly failure: VerifyFailure | undefined;

  constructor(message: string, failure?: VerifyFailure, cause?: unknown) {
    super(message, { cause });
    this.name = "TlsError";
    this.failure = failure;
  }
}

/** A peer's certificate was refused; `details` say why. */
export function createVerifyError(failure: VerifyFailure, details: string): TlsError {
  if (failure === "fail_verify_no_cert") {
    return new TlsError(formatReason("PEER_DID_NOT_RETURN_A_CERTIFICATE", 192), failure);
  }
  return new TlsError(formatReason("CERTIFICATE_VERIFY_FAILED", 125, `:verify cert failed: ${details}`), failure);
}

/** False where the peer has just left: that is no error of TLS, and Envoy counts none. */
export function isOfTls({ message }: TlsError): boolean {
  return message.startsWith("TLS_error:");
}

/** What the platform reports of a handshake, in Envoy's words. */
export function describeTlsError(cause: unknown): TlsError {
  if (cause instanceof TlsError) return cause;
  const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "";
  const text = cause instanceof Error ? cause.message : String(cause);
  const alert = /SSL alert number (\d+)/.exec(text)?.[1];
  if (alert !== undefined) {
    const reason = alerts.get(Number(alert)) ?? `TLSV1_ALERT_${alert}`;
    return new TlsError(formatReason(reason, 1000 + Number(alert)), undefined, cause);
  }
  if (code.startsWith("ERR_SSL_")) {
    const reason = code.slice("ERR_SSL_".length).replace("PACKET_LENGTH_TOO_LONG", "WRONG_VERSION_NUMBER");
    const number = reasons.get(reason);
    // Numbers of the two libraries differ; a reason without one here is still named.
    if (number === undefined) return new TlsError(`TLS_error:|SSL routines:OPENSSL_internal:${reason}:TLS_error_end`);
    return new TlsError(formatReason(reason, number), undefined, cause);
  }
  return new TlsError(text, undefined, cause);
}

function formatReason(reason: string, number: number, details = ""): string {
  return `TLS_error:|${libraryCode + number}:SSL routines:OPENSSL_internal:${reason}${details}:TLS_error_end`;
}
