/**
 * Path templates ("/a/{x}/{y=*}/**"): Envoy's extension "uri_template", for matches and rewrites.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/path/match/uri_template/v3/uri_template_match.proto
 */
import { ConfigError } from "../lib/config-error.ts";

export interface UriTemplate {
  /** The variables of a path (without query) that matches; undefined for one that does not. */
  match(path: string): ReadonlyMap<string, string> | undefined;
  readonly variables: readonly string[];
}

const maxVariables = 5;
const maxNameLength = 16;
/** The characters of RFC 3986's pchar, which "*" stands for one or more of; "**" for any number, and slashes too. */
const letters = "a-zA-Z0-9\\-._~%!$&'()+,;=:@";
const literal = new RegExp(`^[${letters}]*$`);

/** Throws ConfigError. */
export function compileUriTemplate(template: string): UriTemplate {
  if (!template.startsWith("/")) throw new ConfigError("path_template", "must begin with /");
  const variables: string[] = [];
  const parts = splitSegments(template.slice(1));
  let hasRest = false;
  const sources = parts.map((part) => {
    if (hasRest) throw new ConfigError("path_template", "** must be the last");
    hasRest = part.includes("**");
    return segmentSource(part, variables);
  });
  if (variables.length > maxVariables)
    throw new ConfigError("path_template", `has more than ${maxVariables} variables`);
  // No part repeats another and "/" parts them, hence matching is linear.
  const regex = new RegExp(`^/${sources.join("/")}$`);
  return { variables, match: (path) => readVariables(regex.exec(path), variables) };
}

/** A rewrite ("/{y}/{x}") for the variables of a template. Throws ConfigError where it names others. */
export function compileUriRewrite(
  rewrite: string,
  known: readonly string[],
): (found: ReadonlyMap<string, string>) => string {
  if (!rewrite.startsWith("/")) throw new ConfigError("path_template_rewrite", "must begin with /");
  const parts = rewrite.split(/\{([^{}]*)\}/);
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 1 && !known.includes(part)) {
      throw new ConfigError("path_template_rewrite", `names {${part}}, which the match does not`);
    }
    if (index % 2 === 0 && /[{}*]/.test(part)) throw new ConfigError("path_template_rewrite", "is malformed");
  }
  return (found) => parts.map((part, index) => (index % 2 === 1 ? (found.get(part) ?? "") : part)).join("");
}

/** Splits at "/", but not within braces. */
function splitSegments(text: string): readonly string[] {
  return text.split(/\/(?![^{}]*\})/);
}

function segmentSource(part: string, variables: string[]): string {
  const braces = /^\{([^{}=]*)(?:=([^{}]*))?\}(.*)$/.exec(part);
  if (braces === null) return patternSource(part);
  const [, name = "", pattern, after = ""] = braces;
  if (!/^[a-zA-Z][a-zA-Z0-9_]*$/.test(name) || name.length > maxNameLength) {
    throw new ConfigError("path_template", `has the invalid variable name "${name}"`);
  }
  if (variables.includes(name)) throw new ConfigError("path_template", `names {${name}} twice`);
  variables.push(name);
  const source = (pattern ?? "*").split("/").map(patternSource).join("/");
  if (pattern === "") throw new ConfigError("path_template", `{${name}} has an empty pattern`);
  if (!literal.test(after)) throw new ConfigError("path_template", `"${part}" is malformed`);
  return `(${source})${escapeLiteral(after)}`;
}

function patternSource(part: string): string {
  const [, stars = "", rest = ""] = /^(\*{0,2})(.*)$/s.exec(part) ?? [];
  if (!literal.test(rest)) throw new ConfigError("path_template", `"${part}" is malformed`);
  const wild = { "": "", "*": `[${letters}]+`, "**": `[${letters}/]*` }[stars] ?? "";
  return wild + escapeLiteral(rest);
}

function escapeLiteral(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function readVariables(
  match: RegExpExecArray | null,
  variables: readonly string[],
): ReadonlyMap<string, string> | undefined {
  if (match === null) return undefined;
  return new Map(variables.map((name, index) => [name, match[index + 1] ?? ""]));
}
