/** Which names a peer's certificate must have one of. */
import type {
  CertificateValidationContext,
  SubjectAltNameMatcher,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import type { StringMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import { compileStringMatcher } from "../matchers/string-matcher.ts";
import type { SanKind, SubjectAltName } from "./certificate-info.ts";

export type SanMatcher = (names: readonly SubjectAltName[]) => boolean;

/** Undefined where any name will do. Throws ConfigError. */
export function compileSanMatchers(context: CertificateValidationContext): SanMatcher | undefined {
  const typed = compileAll("match_typed_subject_alt_names", context.match_typed_subject_alt_names, compileTyped);
  // The older field asks for any of the kinds; Envoy ignores it where the newer one is there.
  const untyped =
    typed.length > 0 ? [] : compileAll("match_subject_alt_names", context.match_subject_alt_names, compileUntyped);
  const matchers = [...typed, ...untyped];
  if (matchers.length === 0) return undefined;
  return (names) => names.some((name) => matchers.some((isMatching) => isMatching(name)));
}

/** The names that a request asks for in place of the configuration's: DNS names with a wildcard, or others as they are. */
export function matchWantedNames(wanted: readonly string[]): SanMatcher {
  return (names) =>
    names.some(({ kind, value }) =>
      wanted.some((name) => (kind === "DNS" ? isDnsMatch(name, value) : kind !== "OTHER_NAME" && name === value)),
    );
}

/** A name against one of a certificate, which may begin with "*" for one label (RFC 6125 section 6.4.3). Case is ignored. */
export function isDnsMatch(name: string, pattern: string): boolean {
  const [wanted, given] = [name.toLowerCase(), pattern.toLowerCase()];
  if (wanted === given) return true;
  if (!given.startsWith("*.")) return false;
  const dot = wanted.indexOf(".");
  return dot > 0 && given.slice(1) === wanted.slice(dot) && !given.slice(2).includes("*");
}

type NameMatcher = (name: SubjectAltName) => boolean;

const untypedKinds: ReadonlySet<SanKind> = new Set(["DNS", "URI", "IP_ADDRESS"]);

function compileTyped({ san_type, matcher, oid }: SubjectAltNameMatcher): NameMatcher {
  const kind = san_type ?? "SAN_TYPE_UNSPECIFIED";
  if (kind === "SAN_TYPE_UNSPECIFIED") throw new ConfigError("san_type", "is required");
  if (kind === "OTHER_NAME" && !oid) throw new ConfigError("oid", "is required");
  const isMatching = within("matcher", () => compileName(need("", matcher), kind === "DNS"));
  return (name) => name.kind === kind && (kind !== "OTHER_NAME" || name.oid === oid) && isMatching(name.value);
}

function compileUntyped(matcher: StringMatcher): NameMatcher {
  const [plain, dns] = [compileName(matcher, false), compileName(matcher, true)];
  return ({ kind, value }) => untypedKinds.has(kind) && (kind === "DNS" ? dns(value) : plain(value));
}

/** An exact DNS name also fits a wildcard in the certificate; everything else is compared as text. */
function compileName(matcher: StringMatcher, isDns: boolean): (value: string) => boolean {
  const { exact } = matcher;
  if (isDns && exact !== undefined) return (value) => isDnsMatch(exact, value);
  return compileStringMatcher(matcher);
}
