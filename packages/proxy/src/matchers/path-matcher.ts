import type { PathMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import { need, within } from "../lib/config-error.ts";
import { compileStringMatcher } from "./string-matcher.ts";

/** A test of paths, without their query and fragment. Throws ConfigError. */
export function compilePathMatcher(wire: PathMatcher): (path: string) => boolean {
  const text = need("path", wire.path);
  const test = within("path", () => compileStringMatcher(text));
  return (path) => test(pathOnly(path));
}

/** The path without query and fragment. */
export function pathOnly(path: string): string {
  const query = path.indexOf("?");
  const end = query < 0 ? path.length : query;
  const fragment = path.indexOf("#");
  return path.slice(0, fragment < 0 ? end : Math.min(end, fragment));
}
