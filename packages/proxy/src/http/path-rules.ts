/** What is made of a request's path before anybody matches it: normalize_path, merge_slashes, escaped slashes. */
import type { LocalReply } from "./exchange.ts";
import { HeaderList } from "./header-list.ts";

export interface PathOptions {
  readonly normalizes: boolean;
  readonly mergesSlashes: boolean;
  readonly escapedSlashes: "keep" | "reject" | "redirect" | "forward";
}

/** A path that is passed on, or the answer in its place. */
export type PathResult = { readonly path: string } | { readonly reply: LocalReply };

const details = "path_normalization_failed";
const rejected: PathResult = { reply: { status: 400, body: "", details } };

const escapedSlash = /%2f|%5c/i;
const escapedSlashes = /%2f|%5c/gi;
/** Anything that normalisation changes: dots, escapes, slashes in a row, and what must be escaped. */
const unusual = /[%\\|"<>^`{}]|\/\.|\/\//;
/** A segment of one or two dots, also with parameters after it, which other servers would ignore. */
const dots = /^(?:(?:\.|%2e){1,2}|\.{1,2};.*)$/i;
const twoDots = /^(?:(?:\.|%2e){2}$|\.\.;)/i;
const mustBeEscaped = /[|"<>^`{}]/g;

/** The path that goes on. `path` is not empty, and may have a query, which is never changed. */
export function applyPathRules(path: string, options: PathOptions): PathResult {
  if (path.includes("#")) return rejected;
  const { normalizes, mergesSlashes, escapedSlashes: action } = options;
  if (!normalizes && !mergesSlashes && action === "keep") return { path };
  if (!unusual.test(path)) return { path };
  const query = path.indexOf("?");
  let text = query < 0 ? path : path.slice(0, query);
  const rest = query < 0 ? "" : path.slice(query);
  let isRedirected = false;
  if (action !== "keep" && escapedSlash.test(text)) {
    if (action === "reject") return rejected;
    text = text.replace(escapedSlashes, (found) => (found.startsWith("%5") ? "\\" : "/"));
    isRedirected = action === "redirect";
  }
  if (normalizes) {
    const normal = normalizePath(text);
    if (normal === undefined) return rejected;
    text = normal;
  }
  if (mergesSlashes) text = mergeSlashes(text);
  if (!isRedirected) return { path: text + rest };
  return { reply: { status: 307, body: "", headers: new HeaderList(["location", text + rest]), details } };
}

/** Of slashes alone two stay, as in Envoy: matchers must see the same path in both. */
function mergeSlashes(path: string): string {
  return /^\/{2,}$/.test(path) ? "//" : path.replace(/\/{2,}/g, "/");
}

/** RFC 3986, section 6, as browsers do it: undefined for a path that hides a NUL. */
export function normalizePath(path: string): string | undefined {
  if (path.includes("%00")) return undefined;
  const segments = path.replaceAll("\\", "/").split("/");
  const kept: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    if (!dots.test(segment)) {
      kept.push(normalizeSegment(segment));
      continue;
    }
    if (twoDots.test(segment) && kept.length > 1) kept.pop();
    if (isLast) kept.push("");
  }
  const normal = kept.join("/");
  return normal.startsWith("/") ? normal : `/${normal}`;
}

function normalizeSegment(segment: string): string {
  return segment
    .replace(/%([0-9a-f]{2})/gi, (found, hex: string) => {
      const character = String.fromCharCode(Number.parseInt(hex, 16));
      return /[A-Za-z0-9\-._~]/.test(character) ? character : found;
    })
    .replace(mustBeEscaped, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
