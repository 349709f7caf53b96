/** Heads of HTTP/2 messages to and from hosts, as flat lists of names and values. */

import { protocolError } from "@meltemi/http2/error-codes";
import { addField, encodeFieldValue, isConnectionHeader, isFieldName, isFieldValue } from "@meltemi/http2/field-rules";
import { HeaderList } from "../../http/header-list.ts";
import { isContentLength } from "../../http/http2/read-head.ts";
import type { UpstreamRequest } from "../types.ts";

/**
 * What a request says in HTTP/2: pseudo headers first, nothing that is about a connection (RFC 9113, section 8.2.2). Throws
 * where HTTP/2 cannot carry it.
 */
export function encodeRequestHeaders(request: UpstreamRequest): string[] {
  const { upgrade } = request;
  const list = encodePseudoHeaders(request);
  for (let index = 1; index < list.length; index += 2) list[index] = encodeFieldValue(list[index] ?? "");
  const { raw } = request.headers;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = raw[index + 1] ?? "";
    if (isOfConnection(name, value) || (upgrade !== undefined && name === "content-length")) continue;
    addField(list, name, value);
  }
  return list;
}

function encodePseudoHeaders({ upgrade, method, scheme, authority, path }: UpstreamRequest): string[] {
  if (upgrade === "connect") return [":method", "CONNECT", ":authority", authority];
  const how = upgrade === undefined ? method : "CONNECT";
  const list = [":method", how, ":scheme", scheme, ":authority", authority, ":path", path];
  if (upgrade !== undefined) list.push(":protocol", upgrade);
  return list;
}

function isOfConnection(name: string, value: string): boolean {
  if (name === "te") return value !== "trailers";
  return isConnectionHeader(name) || name === "host" || name === "http2-settings";
}

export interface AnswerHead {
  readonly status: number;
  readonly headers: HeaderList;
  readonly contentLength: number | undefined;
}

const statusText = /^[1-9][0-9]{2}$/;

/** The head of an answer (RFC 9113, section 8.3.2). Throws ConnectionError. */
export function decodeAnswer(raw: readonly string[]): AnswerHead {
  const [pseudo, status = ""] = raw;
  // The only pseudo header of an answer, and those come first.
  if (pseudo !== ":status" || !statusText.test(status)) throw protocolError("no status");
  const headers = decodeFields(raw.slice(2));
  const { contentLength } = headers;
  return { status: Number(status), headers: headers.list, contentLength };
}

/** Throws ConnectionError. */
export function decodeTrailers(raw: string[]): HeaderList {
  return decodeFields(raw).list;
}

function decodeFields(raw: string[]): { readonly list: HeaderList; readonly contentLength: number | undefined } {
  let length: string | undefined;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = raw[index + 1] ?? "";
    if (!isFieldName(name) || !isFieldValue(value) || isConnectionHeader(name)) throw protocolError("invalid header");
    if (name !== "content-length") continue;
    if (!isContentLength(value) || (length !== undefined && length !== value)) throw protocolError("invalid length");
    length = value;
  }
  return { list: new HeaderList(raw), contentLength: length === undefined ? undefined : Number(length) };
}
