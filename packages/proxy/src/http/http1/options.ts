/** Settings of the HTTP/1 codec, compiled. */
import type { HeaderCase } from "../../upstream/pool/header-case.ts";
import type { LocalReply } from "../exchange.ts";
import type { NameTable } from "./name-table.ts";

export interface Http1Options {
  readonly acceptsHttp10: boolean;
  readonly defaultHost: string;
  readonly allowsAbsoluteUrl: boolean;
  readonly allowsChunkedLength: boolean;
  readonly allowsCustomMethods: boolean;
  readonly hasTrailers: boolean;
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  readonly underscores: "ALLOW" | "REJECT_REQUEST" | "DROP_HEADER";
  readonly keyFormat: HeaderCase;
  /** Milliseconds that a client has to end a connection that was closed on this side; 0: it is cut at once. */
  readonly delayedCloseMs: number;
  readonly names: NameTable;
}

/** Answers to what cannot be read, with Envoy's bodies and details. */
export const malformed = (details: string): LocalReply => ({
  status: 400,
  body: "Bad Request",
  flags: ["DPE"],
  details,
});

export const codecError: LocalReply = malformed("http1.codec_error");
export const headTooLarge: LocalReply = {
  status: 431,
  body: "Request Header Fields Too Large",
  flags: ["DPE"],
  details: "http1.headers_too_large",
};
export const tooManyHeaders: LocalReply = { ...headTooLarge, details: "http1.too_many_headers" };
