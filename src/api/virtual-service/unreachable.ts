/**
 * Warnings of rules and matches that are never used, because earlier ones take everything. What counts is Istio's own
 * analysis (pkg/config/validation, analyzeUnreachableHTTPRules), so that its users read what they know.
 */
import type { Findings, Path } from "../findings.ts";
import type { HttpMatch, StringMatch, VirtualServiceSpec } from "./schema.ts";

interface Rule {
  readonly match?: readonly object[];
}

/** Warns of rules of every protocol. */
export function checkUnreachable(spec: VirtualServiceSpec, findings: Findings): void {
  checkRules(spec.http ?? [], ["spec", "http"], findings);
  checkRules(spec.tls ?? [], ["spec", "tls"], findings);
  checkRules(spec.tcp ?? [], ["spec", "tcp"], findings);
  checkCoveredPrefixes(spec, findings);
}

function checkRules(rules: readonly Rule[], path: Path, findings: Findings): void {
  const seen = new Map<string, number>();
  let catchAll: number | undefined;
  for (const [index, rule] of rules.entries()) {
    const matches = rule.match ?? [];
    if (catchAll !== undefined) {
      const text = `is never reached, because ${path.join(".")}[${catchAll}] matches everything`;
      findings.warning([...path, index], text, "unreachable-rule");
    }
    if (matches.length === 0) catchAll = index;
    else if (catchAll === undefined) checkMatches(matches, { seen, index, path: [...path, index], findings });
  }
}

interface RuleContext {
  /** Rules by the text of their matches. */
  readonly seen: Map<string, number>;
  readonly index: number;
  readonly path: Path;
  readonly findings: Findings;
}

function checkMatches(matches: readonly object[], { seen, index, path, findings }: RuleContext): void {
  let doubles = 0;
  for (const [at, match] of matches.entries()) {
    const text = canonicalText(match);
    const earlier = seen.get(text);
    if (earlier === undefined) seen.set(text, index);
    else {
      doubles++;
      findings.warning([...path, "match", at], `is not used: rule ${earlier} has the same match`, "unused-match");
    }
  }
  if (doubles === matches.length) {
    findings.warning(path, "is never reached: earlier rules have all its matches", "unreachable-rule");
  }
}

/** The match as text, the same for matches that mean the same: sorted, without its name and what says nothing. */
function canonicalText(match: object): string {
  const entries = Object.entries(match).filter(([name, value]) => name !== "name" && !isNothing(value));
  return JSON.stringify(Object.fromEntries(entries), (_, value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}

const isNothing = (value: unknown): boolean =>
  value === undefined || value === "" || value === 0 || value === false || (Array.isArray(value) && value.length === 0);

/** What Istio compares of a match with a prefix. */
interface PrefixMatch {
  readonly path: Path;
  readonly prefix: string;
  readonly port: number;
  /** Method, authority, and the maps of headers, parameters and absent headers, as texts to compare by beginning. */
  readonly texts: readonly string[];
  readonly maps: readonly ReadonlyMap<string, string>[];
}

/** Warns of a prefix behind a shorter one that has the same other conditions. */
function checkCoveredPrefixes(spec: VirtualServiceSpec, findings: Findings): void {
  const found = listPrefixMatches(spec);
  for (const [index, later] of found.entries()) {
    for (const earlier of found.slice(0, index)) {
      if (earlier.prefix === later.prefix || !isCovered(earlier, later)) continue;
      const where = `${earlier.path.slice(1, 3).join("[")}]`;
      const text = `prefix "${later.prefix}" is not used: "${earlier.prefix}" of ${where} takes it`;
      findings.warning(later.path, text, "unused-match");
    }
  }
}

function listPrefixMatches(spec: VirtualServiceSpec): readonly PrefixMatch[] {
  const found: PrefixMatch[] = [];
  const seen = new Set<string>();
  for (const [index, route] of (spec.http ?? []).entries()) {
    if ((route.match ?? []).length === 0) break;
    for (const [at, match] of (route.match ?? []).entries()) {
      const text = canonicalText(match);
      const prefix = match.uri?.prefix ?? "";
      if (!seen.has(text) && prefix !== "") found.push(toPrefixMatch(match, ["spec", "http", index, "match", at]));
      seen.add(text);
    }
  }
  return found;
}

function toPrefixMatch(match: HttpMatch, path: Path): PrefixMatch {
  // Istio reads a match without a method as one for GET here.
  const texts = [matchText(match.method) || "exact:GET", matchText(match.authority)];
  const maps = [match.headers, match.queryParams, match.withoutHeaders].map(
    (entries) => new Map(Object.entries(entries ?? {}).map(([name, value]) => [name, matchText(value)])),
  );
  return { path, prefix: match.uri?.prefix ?? "", port: match.port ?? 0, texts, maps };
}

function matchText(match: StringMatch | undefined): string {
  if (match?.exact) return `exact:${match.exact}`;
  return match?.prefix ? `prefix:${match.prefix}` : "";
}

function isCovered(earlier: PrefixMatch, later: PrefixMatch): boolean {
  return (
    later.prefix.startsWith(earlier.prefix) &&
    later.port === earlier.port &&
    earlier.texts.every((text, index) => text.startsWith(later.texts[index] ?? "")) &&
    earlier.maps.every((map, index) => isMapCovered(map, later.maps[index] ?? new Map()))
  );
}

function isMapCovered(earlier: ReadonlyMap<string, string>, later: ReadonlyMap<string, string>): boolean {
  return earlier.size === later.size && [...earlier].every(([name, text]) => text.startsWith(later.get(name) ?? "\n"));
}
