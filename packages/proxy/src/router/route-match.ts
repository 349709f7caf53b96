/** Whether a route is for a request: path, headers, query, client's certificate, metadata, and chance. */

import { unpackAs } from "@meltemi/protos";
import type { RouteMatch, RouteMatch_TlsContextMatchOptions } from "@meltemi/protos/envoy/config/route/v3";
import type { Exchange } from "../http/exchange.ts";
import { isGrpcType } from "../http/rescue.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import { compileHeaderMatcher } from "../matchers/header-matcher.ts";
import { compileMetadataMatcher } from "../matchers/metadata-matcher.ts";
import { pathOnly } from "../matchers/path-matcher.ts";
import { compileQueryMatcher } from "../matchers/query-matcher.ts";
import { compileRegex } from "../matchers/regex.ts";
import type { RouteEnv } from "./types.ts";
import { compileUriTemplate, type UriTemplate } from "./uri-template.ts";

type PathTest = (path: string) => boolean;
type Condition = (exchange: Exchange) => boolean;

export interface CompiledMatch {
  matches(exchange: Exchange): boolean;
  /** Length of the part of a path that a prefix rewrite replaces. */
  matchedLength(path: string): number;
  readonly template: UriTemplate | undefined;
}

const templateMatch = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";

/** Throws ConfigError. */
export function compileRouteMatch(
  wire: RouteMatch,
  env: RouteEnv,
  options: { readonly ignoresPathParameters: boolean },
): CompiledMatch {
  const template = compileTemplate(wire);
  const conditions = compileConditions(wire, env);
  const all: Condition =
    conditions.length === 0 ? () => true : (exchange) => conditions.every((condition) => condition(exchange));
  const matchedLength = compileMatchedLength(wire);
  if (wire.connect_matcher !== undefined) {
    const matches: Condition = (exchange) => exchange.request.method === "CONNECT" && all(exchange);
    return { matches, matchedLength, template };
  }
  const test = compilePath(wire, template);
  const testsPath: PathTest = options.ignoresPathParameters ? (path) => test(withoutParameters(path)) : test;
  return {
    // A CONNECT has no path: only routes that ask for it take it.
    matches: (exchange) => exchange.request.path !== "" && testsPath(exchange.request.path) && all(exchange),
    matchedLength,
    template,
  };
}

function compileTemplate(wire: RouteMatch): UriTemplate | undefined {
  const { path_match_policy: policy } = wire;
  if (policy === undefined) return undefined;
  return within("path_match_policy", () => {
    const config = policy.typed_config && unpackAs(templateMatch, policy.typed_config);
    if (config === undefined)
      throw new ConfigError("typed_config", `the extension ${policy.name ?? ""} is not supported`);
    return within("typed_config", () => compileUriTemplate(config.path_template ?? ""));
  });
}

function compilePath(wire: RouteMatch, template: UriTemplate | undefined): PathTest {
  const isAnyCase = !wrappedBool(wire.case_sensitive, true);
  const { safe_regex: regex, path_separated_prefix: separated } = wire;
  if (wire.prefix !== undefined) return prefixTest(wire.prefix, isAnyCase);
  if (wire.path !== undefined) return exactTest(wire.path, isAnyCase);
  if (regex !== undefined) {
    const compiled = within("safe_regex", () => compileRegex(regex.regex ?? ""));
    return (path) => compiled.test(pathOnly(path));
  }
  if (separated !== undefined) {
    if (!/^[^?#]+[^?#/]$/.test(separated)) {
      throw new ConfigError("path_separated_prefix", 'must have no query, no fragment and no "/" at its end');
    }
    return separatedTest(separated, isAnyCase);
  }
  if (template !== undefined) return (path) => template.match(pathOnly(path)) !== undefined;
  throw new ConfigError("", "one of prefix, path, safe_regex, path_separated_prefix, connect_matcher is required");
}

function prefixTest(prefix: string, isAnyCase: boolean): PathTest {
  if (/[?#]/.test(prefix)) return () => false;
  if (!isAnyCase) return (path) => path.startsWith(prefix);
  const lower = prefix.toLowerCase();
  return (path) => path.slice(0, lower.length).toLowerCase() === lower;
}

function exactTest(expected: string, isAnyCase: boolean): PathTest {
  if (!isAnyCase) return (path) => path === expected || pathOnly(path) === expected;
  const lower = expected.toLowerCase();
  return (path) => pathOnly(path).toLowerCase() === lower;
}

function separatedTest(prefix: string, isAnyCase: boolean): PathTest {
  const startsWith = prefixTest(prefix, isAnyCase);
  return (path) => {
    if (!startsWith(path)) return false;
    const next = path[prefix.length];
    return next === undefined || next === "/" || next === "?" || next === "#";
  };
}

/** Cut at the first ";", query and all, as Envoy does it. */
function withoutParameters(path: string): string {
  const semicolon = path.indexOf(";");
  return semicolon < 0 ? path : path.slice(0, semicolon);
}

function compileMatchedLength(wire: RouteMatch): CompiledMatch["matchedLength"] {
  const fixed = wire.prefix ?? wire.path ?? wire.path_separated_prefix;
  if (fixed !== undefined) return () => fixed.length;
  return (path) => pathOnly(path).length;
}

function compileConditions(wire: RouteMatch, env: RouteEnv): readonly Condition[] {
  const conditions: Condition[] = [];
  const { runtime_fraction: fraction, tls_context: tls } = wire;
  if (fraction !== undefined) conditions.push(() => env.runtime.isChosen(fraction, env.random()));
  if (wire.grpc !== undefined) conditions.push(({ request }) => isGrpcType(request.headers.get("content-type")));
  for (const test of compileAll("headers", wire.headers, compileHeaderMatcher)) {
    conditions.push(({ request }) => test(request));
  }
  for (const test of compileAll("query_parameters", wire.query_parameters, compileQueryMatcher)) {
    conditions.push(({ request }) => test(request.path));
  }
  if (tls !== undefined) conditions.push(compileTlsCondition(tls));
  for (const test of compileAll("dynamic_metadata", wire.dynamic_metadata, compileMetadataMatcher)) {
    conditions.push(({ info }) => test(info.dynamicMetadata));
  }
  return conditions;
}

function compileTlsCondition(wire: RouteMatch_TlsContextMatchOptions): Condition {
  const presented = wire.presented?.value;
  const validated = wire.validated?.value;
  return ({ connection }) => {
    const { tls } = connection;
    const isPresented = tls?.peer !== undefined;
    const isValidated = tls?.isPeerVerified === true;
    return (presented ?? isPresented) === isPresented && (validated ?? isValidated) === isValidated;
  };
}
