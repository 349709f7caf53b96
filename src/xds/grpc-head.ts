/**
 * The head of a call as it came, with the rules that every head of HTTP/2 has to keep (RFC 9113, section 8). What breaks them
 * costs its stream.
 */
import { isConnectionHeader, isFieldName, isFieldValue } from "@meltemi/http2/field-rules";

export interface CallHead {
  readonly method: string;
  readonly path: string;
  /** Name, value, name, value …, pseudo headers among them. */
  readonly raw: readonly string[];
}

/** As `max_request_headers_kb` and `max_headers_count` of Envoy are where nothing is set. */
export const headLimits = { maxHeadBytes: 60 * 1024, maxHeaders: 100 } as const;

const pseudoHeaders = new Set([":method", ":scheme", ":authority", ":path"]);
const colon = 0x3a;
const pathText = /^[!-~\x80-\xff]+$/;

/** `raw`: name, value, name, value …, as HPACK gives them. Undefined for what is no head of a request. */
export function readHead(raw: readonly string[]): CallHead | undefined {
  const pseudo = new Map<string, string>();
  let isBehindPseudo = false;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = raw[index + 1] ?? "";
    if (name.charCodeAt(0) === colon) {
      const isWrong = isBehindPseudo || pseudo.has(name) || !pseudoHeaders.has(name) || !isFieldValue(value);
      if (isWrong) return undefined;
      pseudo.set(name, value);
    } else {
      isBehindPseudo = true;
      if (!isHeader(name, value)) return undefined;
    }
  }
  const [method, path] = [pseudo.get(":method"), pseudo.get(":path")];
  if (method === undefined || path === undefined || !pseudo.has(":scheme") || !pathText.test(path)) return undefined;
  return { method, path, raw };
}

/** True where trailers, which mean nothing in a call, are at least such. */
export function areTrailers(raw: readonly string[]): boolean {
  for (let index = 0; index < raw.length; index += 2) {
    if (!isHeader(raw[index] ?? "", raw[index + 1] ?? "")) return false;
  }
  return true;
}

function isHeader(name: string, value: string): boolean {
  if (!isFieldName(name) || !isFieldValue(value) || isConnectionHeader(name)) return false;
  return name !== "te" || value === "trailers";
}

/** Values of a header, in order. */
export function findHeaders(raw: readonly string[], name: string): readonly string[] {
  const values: string[] = [];
  for (let index = 0; index < raw.length; index += 2) if (raw[index] === name) values.push(raw[index + 1] ?? "");
  return values;
}
