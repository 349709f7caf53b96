/** Tests of metadata and of JSON values in general. */
import type {
  DoubleMatcher,
  FilterStateMatcher,
  MetadataMatcher,
  StructMatcher,
  ValueMatcher,
} from "@meltemi/protos/envoy/type/matcher/v3";
import type { StreamInfo } from "../http/stream-info.ts";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import { compileStringMatcher } from "./string-matcher.ts";

type TestValue = (value: unknown) => boolean;

/** A test of metadata: by name of a filter, as JSON. Throws ConfigError. */
export function compileMetadataMatcher(
  wire: MetadataMatcher,
): (metadata: ReadonlyMap<string, Readonly<Record<string, unknown>>>) => boolean {
  const { filter = "" } = wire;
  if (filter === "") throw new ConfigError("filter", "must not be empty");
  const test = compileStructMatcher(wire);
  const isInverted = wire.invert === true;
  return (metadata) => test(metadata.get(filter)) !== isInverted;
}

/** A test of what is found in an object along a path. */
export function compileStructMatcher(wire: StructMatcher): TestValue {
  const path = compileAll("path", wire.path, (segment) => {
    if (segment.key === undefined || segment.key === "") throw new ConfigError("key", "must not be empty");
    return segment.key;
  });
  if (path.length === 0) throw new ConfigError("path", "must not be empty");
  const value = need("value", wire.value);
  const test = within("value", () => compileValueMatcher(value));
  return (json) => test(findValue(json, path));
}

/** A test of a JSON value; undefined is one that is not there. Throws ConfigError. */
export function compileValueMatcher(wire: ValueMatcher): TestValue {
  const { string_match: text, double_match: double, bool_match: bool, list_match: list, or_match: or } = wire;
  if (text !== undefined) {
    const test = within("string_match", () => compileStringMatcher(text));
    return (value) => typeof value === "string" && test(value);
  }
  if (double !== undefined) return compileDoubleMatcher(double);
  if (bool !== undefined) return (value) => value === bool;
  if (wire.null_match !== undefined) return (value) => value === null;
  // "present_match: false" matches nothing in Envoy: it is no test of absence.
  if (wire.present_match !== undefined) {
    const isWanted = wire.present_match;
    return (value) => isWanted && value !== undefined;
  }
  if (list !== undefined) {
    const test = within("list_match.one_of", () => compileValueMatcher(need("", list.one_of)));
    return (value) => Array.isArray(value) && value.some(test);
  }
  if (or !== undefined) {
    const tests = within("or_match", () => compileAll("value_matchers", or.value_matchers, compileValueMatcher));
    return (value) => tests.some((test) => test(value));
  }
  throw new ConfigError("", "one of the kinds of value matchers is required");
}

/** A test of an object of the filter state, by its text. */
export function compileFilterStateMatcher(wire: FilterStateMatcher): (info: StreamInfo) => boolean {
  const { key = "" } = wire;
  if (key === "") throw new ConfigError("key", "must not be empty");
  const text = need("string_match", wire.string_match);
  const test = within("string_match", () => compileStringMatcher(text));
  return (info) => {
    const found = info.findFilterState(key);
    return found !== undefined && test(found.text);
  };
}

function compileDoubleMatcher(wire: DoubleMatcher): TestValue {
  const { exact, range } = wire;
  if (exact !== undefined) return (value) => value === exact;
  const { start = 0, end = 0 } = need("double_match.range", range);
  return (value) => typeof value === "number" && value >= start && value < end;
}

function findValue(json: unknown, path: readonly string[]): unknown {
  let value = json;
  for (const key of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) {
      return undefined;
    }
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}
