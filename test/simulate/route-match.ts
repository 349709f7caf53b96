/** Whether a route takes a request (RouteMatch, HeaderMatcher and QueryParameterMatcher of Envoy's API). */

import type { HeaderMatcher, QueryParameterMatcher, RouteMatch } from "@meltemi/protos/envoy/config/route/v3";
import type { MetadataMatcher, ValueMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import type { FractionalPercent } from "@meltemi/protos/envoy/type/v3";
import { type HttpRequest, readHeader } from "./http-request.ts";
import { splitPath } from "./request-path.ts";
import { matchesText, matchesWhole } from "./text-match.ts";

const perHundred = { HUNDRED: 1, TEN_THOUSAND: 100, MILLION: 10_000 } as const;

/** The first condition that the request fails, in words; undefined where it fails none. */
export function findMismatch(match: RouteMatch, request: HttpRequest): string | undefined {
  const { headers, query_parameters: parameters, dynamic_metadata: metadata } = match;
  if (!matchesPath(match, request)) return "path";
  const fraction = match.runtime_fraction?.default_value;
  if (fraction !== undefined && request.sample >= toPercent(fraction)) return "runtime fraction";
  if (match.grpc !== undefined && !isGrpc(request)) return "content-type of gRPC";
  const header = headers?.find((matcher) => !matchesHeader(matcher, request));
  if (header !== undefined) return `header ${header.name}`;
  const { query } = splitPath(request.path);
  const parameter = parameters?.find((matcher) => !matchesParameter(matcher, query));
  if (parameter !== undefined) return `query parameter ${parameter.name}`;
  const { presented, validated } = match.tls_context ?? {};
  if (presented !== undefined && (presented.value === true) !== request.hasCertificate) return "presented certificate";
  if (validated !== undefined && (validated.value === true) !== request.hasCertificate) return "validated certificate";
  const fact = metadata?.find((matcher) => !matchesMetadata(matcher, request));
  return fact === undefined ? undefined : `metadata of ${fact.filter}`;
}

/** A fraction in percent. */
export function toPercent({ numerator, denominator }: FractionalPercent): number {
  return (numerator ?? 0) / perHundred[denominator ?? "HUNDRED"];
}

function matchesPath(match: RouteMatch, request: HttpRequest): boolean {
  // A CONNECT request has no path; only this matcher takes it.
  if (match.connect_matcher !== undefined || request.method === "CONNECT")
    return match.connect_matcher !== undefined && request.method === "CONNECT";
  const { path } = splitPath(request.path);
  if (match.safe_regex !== undefined) return matchesWhole(match.safe_regex.regex ?? "", path);
  // Absent is true.
  const isExact = match.case_sensitive === undefined || match.case_sensitive.value === true;
  const fold = (text: string): string => (isExact ? text : text.toLowerCase());
  if (match.path !== undefined) return fold(path) === fold(match.path);
  if (match.prefix !== undefined) return fold(path).startsWith(fold(match.prefix));
  if (match.path_separated_prefix !== undefined)
    return `${fold(path)}/`.startsWith(`${fold(match.path_separated_prefix)}/`);
  throw new Error(`route match ${JSON.stringify(match)} is not simulated`);
}

/** True where the matcher holds. A missing header fails it, inverted or not, unless it counts as empty or as absent. */
export function matchesHeader(matcher: HeaderMatcher, request: HttpRequest): boolean {
  const value = readHeader(request, matcher.name ?? "");
  const isInverted = matcher.invert_match === true;
  const countsAsEmpty = matcher.treat_missing_header_as_empty === true;
  if (!hasValueMatch(matcher)) {
    const wanted = matcher.present_match ?? true;
    return ((value !== undefined || countsAsEmpty) === wanted) !== isInverted;
  }
  if (value === undefined && !countsAsEmpty) return false;
  return matchesHeaderValue(matcher, value ?? "") !== isInverted;
}

function hasValueMatch(matcher: HeaderMatcher): boolean {
  const { string_match, range_match, exact_match, safe_regex_match } = matcher;
  const { prefix_match, suffix_match, contains_match } = matcher;
  const all = [string_match, range_match, exact_match, safe_regex_match, prefix_match, suffix_match, contains_match];
  return all.some((match) => match !== undefined);
}

function matchesHeaderValue(matcher: HeaderMatcher, value: string): boolean {
  const { range_match: range } = matcher;
  if (range !== undefined)
    return /^-?\d+$/.test(value) && Number(value) >= Number(range.start ?? 0) && Number(value) < Number(range.end ?? 0);
  if (matcher.string_match !== undefined) return matchesText(matcher.string_match, value);
  const { exact_match: exact, prefix_match: prefix, suffix_match: suffix, contains_match: contains } = matcher;
  return matchesText({ exact, prefix, suffix, contains, safe_regex: matcher.safe_regex_match }, value);
}

/** The first value of the parameter counts, as it is written; without a matcher its presence is enough. */
function matchesParameter(matcher: QueryParameterMatcher, query: string): boolean {
  const pairs = query
    .replace(/^\?/, "")
    .split("&")
    .filter((pair) => pair !== "");
  const found = pairs.map((pair) => pair.split("=")).find(([name]) => name === matcher.name);
  if (found === undefined) return false;
  return matcher.string_match === undefined || matchesText(matcher.string_match, found.slice(1).join("="));
}

function isGrpc({ headers }: HttpRequest): boolean {
  return /^application\/grpc($|[+;])/.test(headers.get("content-type") ?? "");
}

function matchesMetadata({ filter, path, value, invert }: MetadataMatcher, request: HttpRequest): boolean {
  let found: unknown = request.metadata[filter ?? ""];
  for (const { key } of path ?? []) {
    const isObject = typeof found === "object" && found !== null && !Array.isArray(found);
    found = isObject ? (found as Record<string, unknown>)[key ?? ""] : undefined;
  }
  return matchesValue(value ?? {}, found) !== (invert === true);
}

function matchesValue(matcher: ValueMatcher, value: unknown): boolean {
  const { string_match: text, list_match: list, or_match: any, present_match: present, bool_match: bool } = matcher;
  if (text !== undefined) return typeof value === "string" && matchesText(text, value);
  if (list !== undefined) return Array.isArray(value) && value.some((item) => matchesValue(list.one_of ?? {}, item));
  if (any !== undefined) return (any.value_matchers ?? []).some((one) => matchesValue(one, value));
  if (present !== undefined) return (value !== undefined) === present;
  if (bool !== undefined) return value === bool;
  throw new Error(`value matcher ${JSON.stringify(matcher)} is not simulated`);
}
