import type { HeaderMatcher } from "@meltemi/protos/envoy/config/route/v3";
import type { Int64Range } from "@meltemi/protos/envoy/type/v3";
import type { HeaderList } from "../http/header-list.ts";
import { inlineRequestHeaders, inlineResponseHeaders } from "../http/inline-headers.ts";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import { compileRegexMatcher, compileStringMatcher } from "./string-matcher.ts";

type TestValue = (value: string) => boolean;

/** Whether any line of a header passes a test; undefined where there is no line. Each is tested alone, as in Envoy. */
type TestLines<Message> = (message: Message, test: TestValue) => boolean | undefined;

const maxInt64 = 2n ** 63n - 1n;
const minInt64 = -(2n ** 63n);

/** A test of one header of requests, pseudo headers included. Throws ConfigError. */
export function compileHeaderMatcher(wire: HeaderMatcher): (request: HttpRequest) => boolean {
  const name = headerName(wire);
  if (isPseudo(name) || inlineRequestHeaders.has(name))
    return compileTest(wire, ofSingleValue(readRequestHeader(name)));
  return compileTest(wire, (request, test) => testLines(request.headers, name, test));
}

/** The same for headers of responses alone; `:status` is to be among them where it is asked for. */
export function compileHeaderListMatcher(wire: HeaderMatcher): (headers: HeaderList) => boolean {
  const name = headerName(wire);
  if (inlineResponseHeaders.has(name)) {
    return compileTest(
      wire,
      ofSingleValue((headers: HeaderList) => headers.joined(name)),
    );
  }
  return compileTest(wire, (headers, test) => testLines(headers, name, test));
}

/**
 * Reads a header of a request by its lower-case name; ":path", ":method", ":authority" (and "host"), ":scheme" too. Of
 * several lines the first, unless Envoy takes them for one.
 */
export function readRequestHeader(name: string): (request: HttpRequest) => string | undefined {
  switch (name) {
    case ":path":
      return (request) => (request.path === "" ? undefined : request.path);
    case ":method":
      return (request) => request.method;
    case ":authority":
    case "host":
      return (request) => (request.authority === "" ? undefined : request.authority);
    case ":scheme":
      return (request) => request.scheme;
    default:
      return inlineRequestHeaders.has(name)
        ? (request) => request.headers.joined(name)
        : (request) => request.headers.get(name);
  }
}

function isPseudo(name: string): boolean {
  return name === "host" || name.startsWith(":");
}

function ofSingleValue<Message>(read: (message: Message) => string | undefined): TestLines<Message> {
  return (message, test) => {
    const value = read(message);
    return value === undefined ? undefined : test(value);
  };
}

/** Makes no list of the lines: this runs for every request, and most headers have one line. */
function testLines({ raw }: HeaderList, name: string, test: TestValue): boolean | undefined {
  let result: false | undefined;
  for (let index = 0; index < raw.length; index += 2) {
    if (raw[index] !== name) continue;
    if (test(raw[index + 1] ?? "")) return true;
    result = false;
  }
  return result;
}

function headerName(wire: HeaderMatcher): string {
  const name = (wire.name ?? "").toLowerCase();
  if (name === "") throw new ConfigError("name", "must not be empty");
  return name;
}

function compileTest<Message>(wire: HeaderMatcher, anyLine: TestLines<Message>): (message: Message) => boolean {
  const isInverted = wire.invert_match === true;
  const isEmptyWhenMissing = wire.treat_missing_header_as_empty === true;
  const test = compileValueTest(wire);
  if (test === undefined) {
    const isWanted = (wire.present_match ?? true) !== isInverted;
    return (message) => (anyLine(message, any) ?? isEmptyWhenMissing) === isWanted;
  }
  // A header that is missing matches nothing, inverted or not, unless it is taken for an empty one.
  const missing = isEmptyWhenMissing ? test("") : undefined;
  return (message) => {
    const isMatch = anyLine(message, test) ?? missing;
    return isMatch !== undefined && isMatch !== isInverted;
  };
}

function any(): boolean {
  return true;
}

/** Undefined where only the header's presence counts. */
function compileValueTest(wire: HeaderMatcher): TestValue | undefined {
  const { string_match: text, safe_regex_match: regex, range_match: range } = wire;
  if (text !== undefined) return within("string_match", () => compileStringMatcher(text));
  if (wire.exact_match !== undefined) return compileStringMatcher({ exact: wire.exact_match });
  if (wire.prefix_match !== undefined) return compileStringMatcher({ prefix: wire.prefix_match });
  if (wire.suffix_match !== undefined) return compileStringMatcher({ suffix: wire.suffix_match });
  if (wire.contains_match !== undefined) return compileStringMatcher({ contains: wire.contains_match });
  if (regex !== undefined) return within("safe_regex_match", () => compileRegexMatcher(regex));
  return range && compileRange(range);
}

function compileRange(wire: Int64Range): TestValue {
  const start = BigInt(wire.start ?? 0);
  const end = BigInt(wire.end ?? 0);
  return (value) => {
    const text = value.trim();
    if (!/^[+-]?\d+$/.test(text)) return false;
    const number = BigInt(text.startsWith("+") ? text.slice(1) : text);
    return number >= start && number < end && number <= maxInt64 && number >= minInt64;
  };
}
