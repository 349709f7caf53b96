/** Parameters in the query of a path. What is not touched stays as it was written. */
import { findQueryParameter } from "../matchers/query-matcher.ts";

/** The first value of a parameter with its escapes read; undefined where there is none. */
export function findDecodedParameter(path: string, name: string): string | undefined {
  const raw = findQueryParameter(path, name);
  return raw === undefined ? undefined : decodeEscapes(raw);
}

/** The path without any parameter of a name. */
export function removeParameter(path: string, name: string): string {
  return editQuery(path, (pairs) => pairs.filter((pair) => nameOf(pair) !== name));
}

/** The path with a parameter in the place of all of its name, at the end where there was none. */
export function setParameter(path: string, name: string, value: string): string {
  return editQuery(path, (pairs) => {
    const place = pairs.findIndex((pair) => nameOf(pair) === name);
    const others = pairs.filter((pair, index) => index === place || nameOf(pair) !== name);
    const pair = `${name}=${value}`;
    return place < 0 ? [...others, pair] : others.map((other, index) => (index === place ? pair : other));
  });
}

function editQuery(path: string, edit: (pairs: readonly string[]) => readonly string[]): string {
  const start = path.indexOf("?");
  const before = start < 0 ? path : path.slice(0, start);
  const query = start < 0 ? "" : path.slice(start + 1);
  const pairs = edit(query === "" ? [] : query.split("&"));
  return pairs.length === 0 ? before : `${before}?${pairs.join("&")}`;
}

function nameOf(pair: string): string {
  const equals = pair.indexOf("=");
  return equals < 0 ? pair : pair.slice(0, equals);
}

function decodeEscapes(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
