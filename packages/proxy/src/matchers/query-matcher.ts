import type { QueryParameterMatcher } from "@meltemi/protos/envoy/config/route/v3";
import { ConfigError, within } from "../lib/config-error.ts";
import { compileStringMatcher } from "./string-matcher.ts";

/** A test of one query parameter of a path, as it is written there: nothing is decoded. Throws ConfigError. */
export function compileQueryMatcher(wire: QueryParameterMatcher): (path: string) => boolean {
  const { name = "", string_match: text } = wire;
  if (name === "") throw new ConfigError("name", "must not be empty");
  if (text === undefined) {
    const isWanted = wire.present_match ?? true;
    return (path) => (findQueryParameter(path, name) !== undefined) === isWanted;
  }
  const test = within("string_match", () => compileStringMatcher(text));
  return (path) => {
    const value = findQueryParameter(path, name);
    return value !== undefined && test(value);
  };
}

/** The first value of a query parameter, not decoded; "" for one without "=", undefined where there is none. */
export function findQueryParameter(path: string, name: string): string | undefined {
  const start = path.indexOf("?");
  if (start < 0) return undefined;
  const fragment = path.indexOf("#", start);
  const query = path.slice(start + 1, fragment < 0 ? path.length : fragment);
  for (const part of query.split("&")) {
    const equals = part.indexOf("=");
    if ((equals < 0 ? part : part.slice(0, equals)) === name) return equals < 0 ? "" : part.slice(equals + 1);
  }
  return undefined;
}
