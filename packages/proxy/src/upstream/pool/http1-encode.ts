/** The head of a request as HTTP/1.1 text. */
import { isConnectionHeader } from "@meltemi/http2/field-rules";
import type { UpstreamRequest } from "../types.ts";
import { toProperCase } from "./header-case.ts";
import { cleanValue, parseContentLength } from "./http1-grammar.ts";
import type { Http1Options } from "./protocol-options.ts";

/** How the body of a request is written: not at all, so many bytes, in chunks, or as it is (upgrades, from their answer on). */
export type RequestFraming = "none" | "length" | "chunked" | "raw";

export interface EncodedHead {
  readonly text: string;
  readonly framing: RequestFraming;
  /** Bytes that a body of framing "length" must have. */
  readonly length: number;
}

/** Without a body these say nothing of a length (RFC 9110 section 8.6; the list is Envoy's). */
const bodilessMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "TRACE", "CONNECT"]);

type Speller = ((name: string) => string) | undefined;

/** The head of a request with its Host and framing; undefined where something in it cannot be written. */
export function encodeRequestHead(request: UpstreamRequest, options: Http1Options): EncodedHead | undefined {
  const method = findMethod(request);
  const target = cleanValue(findTarget(request, options));
  const authority = cleanValue(request.authority);
  if (target === undefined || authority === undefined || target.includes(" ")) return undefined;
  const spell = createSpeller(request.headers.spelling, options.headerCase);
  const fields = encodeFields(request, spell);
  if (fields === undefined) return undefined;
  const text = `${method} ${target} HTTP/1.1\r\n${spell ? spell("host") : "host"}: ${authority}\r\n${fields.text}`;
  const { upgrade, body } = request;
  if (upgrade !== undefined) return { text: text + encodeUpgrade(upgrade, spell), framing: "raw", length: 0 };
  if (fields.contentLength >= 0) {
    return { text: `${text}\r\n`, framing: body ? "length" : "none", length: fields.contentLength };
  }
  if (body) {
    const name = spell ? spell("transfer-encoding") : "transfer-encoding";
    return { text: `${text}${name}: chunked\r\n\r\n`, framing: "chunked", length: 0 };
  }
  if (bodilessMethods.has(method)) return { text: `${text}\r\n`, framing: "none", length: 0 };
  const name = spell ? spell("content-length") : "content-length";
  return { text: `${text}${name}: 0\r\n\r\n`, framing: "none", length: 0 };
}

/** Lines of the headers, and the content-length among them (-1 for none); undefined where one cannot be written. */
function encodeFields(
  { headers, upgrade }: UpstreamRequest,
  spell: Speller,
): { readonly text: string; readonly contentLength: number } | undefined {
  const { raw } = headers;
  let text = "";
  let contentLength = -1;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = cleanValue(raw[index + 1] ?? "");
    if (value === undefined) return undefined;
    if (isFraming(name)) {
      // The first length counts, and none for what becomes a tunnel.
      if (name !== "content-length" || upgrade !== undefined || contentLength >= 0) continue;
      contentLength = parseContentLength(value) ?? -1;
      if (contentLength < 0) return undefined;
    }
    text += spell ? `${spell(name)}: ${value}\r\n` : `${name}: ${value}\r\n`;
  }
  return { text, contentLength };
}

/** A WebSocket of HTTP/2 is a CONNECT there and a GET here (RFC 8441). */
function findMethod({ method, upgrade }: UpstreamRequest): string {
  return method === "CONNECT" && upgrade !== undefined && upgrade !== "connect" ? "GET" : method;
}

function findTarget({ path, scheme, authority, upgrade }: UpstreamRequest, options: Http1Options): string {
  if (upgrade === "connect") return authority;
  return options.sendsFullUrl && path.startsWith("/") ? `${scheme}://${authority}${path}` : path;
}

function encodeUpgrade(upgrade: string, spell: Speller): string {
  if (upgrade === "connect") return "\r\n";
  const [connection, name] = spell ? [spell("connection"), spell("upgrade")] : ["connection", "upgrade"];
  return `${connection}: Upgrade\r\n${name}: ${cleanValue(upgrade) ?? ""}\r\n\r\n`;
}

/** What the codec itself says of a connection and of a message's length: never twice, whatever a filter has added. */
function isFraming(name: string): boolean {
  return isConnectionHeader(name) || name === "content-length" || name === "host";
}

/** Spelling that came with the request counts more than a rule of the cluster. Undefined where names stay as they are. */
function createSpeller(
  spelling: ReadonlyMap<string, string> | undefined,
  headerCase: Http1Options["headerCase"],
): Speller {
  if (spelling === undefined && headerCase !== "proper") return undefined;
  return (name) => spelling?.get(name) ?? (headerCase === "proper" ? toProperCase(name) : name);
}
