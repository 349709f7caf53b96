import type { HeaderMatcher } from "@meltemi/protos/envoy/config/route/v3";
import type { Int64Range } from "@meltemi/protos/envoy/type/v3";
import type { HeaderList } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import { compileRegexMatcher, compileStringMatcher } from "./string-matcher.ts";

/** Of a request or a response: the value of a header, several joined by commas; undefined where there is none. */
type ReadHeader<Message> = (message: Message) => string | undefined;

const maxInt64 = 2n ** 63n - 1n;
const minInt64 = -(2n ** 63n);

/** A test of one header of requests, pseudo headers included. Throws ConfigError. */
export function compileHeaderMatcher(wire: HeaderMatcher): (request: HttpRequest) => boolean {
  const name = headerName(wire);
  return compileTest(wire, readRequestHeader(name));
}

/** The same for headers alone, such as those of a response; `:status` is to be among them where it is asked for. */
export function compileHeaderListMatcher(wire: HeaderMatcher): (headers: HeaderList) => boolean {
  const name = headerName(wire);
  return compileTest(wire, (headers: HeaderList) => headers.joined(name));
}

/** Reads a header of a request by its lower-case name; ":path", ":method", ":authority" (and "host"), ":scheme" too. */
export function readRequestHeader(name: string): ReadHeader<HttpRequest> {
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
      return (request) => request.headers.joined(name);
  }
}

function headerName(wire: HeaderMatcher): string {
  const name = (wire.name ?? "").toLowerCase();
  if (name === "") throw new ConfigError("name", "must not be empty");
  return name;
}

function compileTest<Message>(wire: HeaderMatcher, read: ReadHeader<Message>): (message: Message) => boolean {
  const isInverted = wire.invert_match === true;
  const test = compileValueTest(wire);
  // A header that is missing matches nothing, inverted or not, unless it is taken for an empty one.
  const missing = wire.treat_missing_header_as_empty === true ? "" : undefined;
  if (test === undefined) {
    const isWanted = (wire.present_match ?? true) !== isInverted;
    return (message) => ((read(message) ?? missing) !== undefined) === isWanted;
  }
  return (message) => {
    const value = read(message) ?? missing;
    return value !== undefined && test(value) !== isInverted;
  };
}

/** Undefined where only the header's presence counts. */
function compileValueTest(wire: HeaderMatcher): ((value: string) => boolean) | undefined {
  const { string_match: text, safe_regex_match: regex, range_match: range } = wire;
  if (text !== undefined) return within("string_match", () => compileStringMatcher(text));
  if (wire.exact_match !== undefined) return compileStringMatcher({ exact: wire.exact_match });
  if (wire.prefix_match !== undefined) return compileStringMatcher({ prefix: wire.prefix_match });
  if (wire.suffix_match !== undefined) return compileStringMatcher({ suffix: wire.suffix_match });
  if (wire.contains_match !== undefined) return compileStringMatcher({ contains: wire.contains_match });
  if (regex !== undefined) return within("safe_regex_match", () => compileRegexMatcher(regex));
  return range && compileRange(range);
}

function compileRange(wire: Int64Range): (value: string) => boolean {
  const start = BigInt(wire.start ?? 0);
  const end = BigInt(wire.end ?? 0);
  return (value) => {
    const text = value.trim();
    if (!/^[+-]?\d+$/.test(text)) return false;
    const number = BigInt(text.startsWith("+") ? text.slice(1) : text);
    return number >= start && number < end && number <= maxInt64 && number >= minInt64;
  };
}
