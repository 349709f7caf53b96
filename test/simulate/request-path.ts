/** Paths of requests: what the connection manager normalizes, and parts of them. */
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";

/** Path and query apart; the query keeps its question mark. A fragment counts as query: no route looks at it. */
export function splitPath(path: string): { readonly path: string; readonly query: string } {
  const end = path.search(/[?#]/);
  return end < 0 ? { path, query: "" } : { path: path.slice(0, end), query: path.slice(end) };
}

/** RFC 3986 normalization and merging of slashes, as far as the connection manager is told to do them. */
export function normalizePath(manager: HttpConnectionManager, full: string): string {
  const { path, query } = splitPath(full);
  let result = path;
  if (manager.path_with_escaped_slashes_action?.startsWith("UNESCAPE")) result = result.replace(/%2f|%5c/gi, "/");
  if (manager.normalize_path?.value === true) result = removeDots(decodeUnreserved(result).replaceAll("\\", "/"));
  if (manager.merge_slashes === true) result = result.replace(/\/{2,}/g, "/");
  return result + query;
}

function decodeUnreserved(path: string): string {
  return path.replace(/%[0-9a-f]{2}/gi, (escaped) => {
    const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : escaped;
  });
}

/** Takes "." and ".." segments out (RFC 3986, 5.2.4). */
function removeDots(path: string): string {
  const segments = path.split("/");
  const isFolder = /^\.{0,2}$/.test(segments.at(-1) ?? "");
  const kept: string[] = [];
  for (const segment of segments.slice(1, isFolder ? -1 : undefined)) {
    if (segment === "..") kept.pop();
    else if (segment !== ".") kept.push(segment);
  }
  if (segments.at(-1) === "..") kept.pop();
  return `/${kept.join("/")}${isFolder && kept.length > 0 ? "/" : ""}`;
}
