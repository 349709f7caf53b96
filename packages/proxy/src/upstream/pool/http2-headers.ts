/** Headers of HTTP/2 messages to and from the platform's flat arrays. */
import { isConnectionHeader } from "../../http/connection-headers.ts";
import { HeaderList } from "../../http/header-list.ts";
import type { UpstreamRequest } from "../types.ts";

/** What a request says in HTTP/2: pseudo headers first, nothing that is about a connection (RFC 9113 section 8.2.2). */
export function encodeRequestHeaders(request: UpstreamRequest): string[] {
  const { upgrade } = request;
  const list =
    upgrade === "connect"
      ? [":method", "CONNECT", ":authority", request.authority]
      : [
          ":method",
          upgrade === undefined ? request.method : "CONNECT",
          ":scheme",
          request.scheme,
          ":authority",
          request.authority,
          ":path",
          request.path,
        ];
  if (upgrade !== undefined && upgrade !== "connect") list.push(":protocol", upgrade);
  const { raw } = request.headers;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = raw[index + 1] ?? "";
    if (!isOfConnection(name, value) && !(upgrade !== undefined && name === "content-length")) list.push(name, value);
  }
  return list;
}

/** Headers without pseudo headers. */
export function decodeHeaders(raw: readonly string[]): HeaderList {
  const list: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (name.charCodeAt(0) !== 58) list.push(name, raw[index + 1] ?? "");
  }
  return new HeaderList(list);
}

function isOfConnection(name: string, value: string): boolean {
  if (name === "te") return value !== "trailers";
  return isConnectionHeader(name) || name === "host" || name === "http2-settings";
}
