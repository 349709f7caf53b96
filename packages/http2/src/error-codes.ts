/** Error codes of HTTP/2 (RFC 9113, section 7), and the error that ends a connection. */
import { TracelessError } from "./traceless-error.ts";

export const errorCodes = {
  none: 0x0,
  protocol: 0x1,
  internal: 0x2,
  flowControl: 0x3,
  streamClosed: 0x5,
  frameSize: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compression: 0x9,
  enhanceYourCalm: 0xb,
} as const;

export type ErrorCode = (typeof errorCodes)[keyof typeof errorCodes];

/** What ends a connection (RFC 9113, section 5.4.1). The message goes out as the debug data of GOAWAY. */
export class ConnectionError extends TracelessError {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super("ConnectionError", message);
    this.code = code;
  }
}

export function protocolError(message: string): ConnectionError {
  return new ConnectionError(errorCodes.protocol, message);
}
