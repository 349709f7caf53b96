/** The text of an HTTP/1 head. */

import { STATUS_CODES } from "node:http";
import { isConnectionHeader } from "@meltemi/http2/field-rules";
import { type HeaderCase, toProperCase } from "../../upstream/pool/header-case.ts";
import type { HeaderList } from "../header-list.ts";

const statusLines = new Map<number, string>();
for (const [status, reason] of Object.entries(STATUS_CODES))
  statusLines.set(Number(status), `HTTP/1.1 ${status} ${reason}\r\n`);

/** Status line and headers, with the headers in `own` (as text) at their end, and the empty line. */
export function formatHead(status: number, headers: HeaderList, { own, format, isOld = false }: HeadStyle): string {
  const { raw } = headers;
  let text = statusLines.get(status) ?? `HTTP/1.1 ${status} Unknown\r\n`;
  if (isOld) text = text.replace("HTTP/1.1", "HTTP/1.0");
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (isConnectionHeader(name)) continue;
    text += `${format === "lower" ? name : restyle(name, headers, format)}: ${harmless(raw[index + 1] ?? "")}\r\n`;
  }
  return `${text}${own}\r\n`;
}

export interface HeadStyle {
  /** Lines that the codec adds, each with its line end. */
  readonly own: string;
  readonly format: HeaderCase;
  /** The client speaks HTTP/1.0: Envoy answers in that. */
  readonly isOld?: boolean;
}

/** Trailers of a chunked body, after the last chunk. */
export function formatTrailers(trailers: HeaderList, format: HeaderCase): string {
  let text = "";
  for (const [name, value] of trailers) text += `${restyle(name, trailers, format)}: ${harmless(value)}\r\n`;
  return text;
}

function restyle(name: string, headers: HeaderList, format: HeaderCase): string {
  if (format === "lower") return name;
  if (format === "preserve") return headers.spelling?.get(name) ?? name;
  return toProperCase(name);
}

/** Line ends, and text that is no Latin-1: of a character beyond it, a byte would be written that may be a line end. */
const harmful = /[\r\n\u0100-\uffff]/;

/** A value as UTF-8, and without line ends: nothing that filters make of foreign text must begin another header. */
function harmless(value: string): string {
  if (!harmful.test(value)) return value;
  return Buffer.from(value, "utf8")
    .toString("latin1")
    .replace(/[\r\n]+/g, " ");
}
