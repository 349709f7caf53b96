/** What a rule requires of a request's tokens: a tree of providers, compiled into one function. */
import type { JwtProvider, JwtRequirement } from "@meltemi/protos/envoy/extensions/filters/http/jwt_authn/v3";
import type { Exchange } from "../../http/exchange.ts";
import { ConfigError, compileAll, within } from "../../lib/config-error.ts";
import { compileLocations, type FoundToken } from "./locations.ts";
import type { Jwt } from "./parse-jwt.ts";
import { parseJwt } from "./parse-jwt.ts";
import { compileAudiences, type Provider } from "./provider.ts";
import { JwtError, type JwtStatusName, jwtStatuses } from "./status.ts";

/** What was found out on the way; it becomes dynamic metadata where the requirement is met, or failed for a reason. */
export interface Findings {
  readonly exchange: Exchange;
  readonly metadata: Record<string, unknown>;
  clearsRoute: boolean;
}

/** Undefined where the requirement is met. A promise only where keys have to be fetched. */
export type Verdict = JwtStatusName | undefined;
export type Requirement = (findings: Findings) => Verdict | Promise<Verdict>;

interface TokenCheck {
  /** Undefined: the one that the token's issuer names. */
  readonly provider: Provider | undefined;
  readonly areAudiencesAllowed?: (audiences: readonly string[]) => boolean;
  readonly find: (request: Exchange["request"]) => readonly FoundToken[];
  /** Headers that only this filter may set. */
  readonly owned: readonly string[];
  readonly tolerates: "nothing" | "missing" | "failed";
}

type Providers = ReadonlyMap<string, Provider>;

/** Throws ConfigError for a provider that is not there. */
export function compileRequirement(wire: JwtRequirement, providers: Providers): Requirement {
  return compileNode(wire, providers);
}

function compileNode(wire: JwtRequirement, providers: Providers): Requirement {
  if (wire.provider_name !== undefined) return compileProvider(wire.provider_name, undefined, providers);
  const { provider_and_audiences: narrowed, requires_any: any, requires_all: all } = wire;
  if (narrowed) return compileProvider(narrowed.provider_name ?? "", narrowed.audiences, providers);
  if (any) return within("requires_any", () => requireAny(any.requirements ?? [], providers));
  if (all) {
    const parts = within("requires_all", () =>
      compileAll("requirements", all.requirements, (part) => compileNode(part, providers)),
    );
    return (findings) => runAll(parts, findings, 0);
  }
  if (wire.allow_missing_or_failed) return tolerate("failed", providers);
  if (wire.allow_missing) return tolerate("missing", providers);
  return () => undefined;
}

function compileProvider(name: string, audiences: readonly string[] | undefined, providers: Providers): Requirement {
  const provider = providers.get(name);
  if (!provider) throw new ConfigError("", `Required provider ['${name}'] is not configured.`);
  return compileCheck({
    provider,
    ...(audiences && audiences.length > 0 ? { areAudiencesAllowed: compileAudiences(audiences) } : {}),
    find: compileLocations([provider.wire]),
    owned: listOwnedHeaders([provider.wire]),
    tolerates: "nothing",
  });
}

/** One that stands alone looks at the tokens for all providers. */
function tolerate(what: "missing" | "failed", providers: Providers): Requirement {
  const wires = [...providers.values()].map(({ wire }) => wire);
  const byIssuer = createIssuerIndex(providers);
  const check = { provider: undefined, find: compileLocations(wires), owned: listOwnedHeaders(wires), tolerates: what };
  return compileCheck(check, byIssuer);
}

/**
 * Beside others, the tolerant ones are no checks: they excuse what the others say. A check of their own would take a token
 * that another has refused, as it knows nothing of the audiences that one was narrowed to.
 */
function requireAny(list: readonly JwtRequirement[], providers: Providers): Requirement {
  const tolerated = list.some((part) => part.allow_missing_or_failed)
    ? "failed"
    : list.some((part) => part.allow_missing) && "missing";
  const parts = compileAll("requirements", list, (part) =>
    part.allow_missing_or_failed || part.allow_missing ? [] : [compileNode(part, providers)],
  ).flat();
  if (tolerated && parts.length === 0) return tolerate(tolerated, providers);
  const excuse = createExcuse(tolerated || "nothing");
  return (findings) => {
    const verdict = runAny(parts, findings, { index: 0, worst: "missing" });
    return verdict instanceof Promise ? verdict.then(excuse) : excuse(verdict);
  };
}

function createExcuse(tolerates: TokenCheck["tolerates"]): (status: Verdict) => Verdict {
  if (tolerates === "failed") return () => undefined;
  return (status) => (tolerates === "missing" && status === "missing" ? undefined : status);
}

interface AnyState {
  readonly index: number;
  /** The reason that says most: any other before an issuer that is not known, and that before a token that is missing. */
  readonly worst: JwtStatusName;
}

function runAny(parts: readonly Requirement[], findings: Findings, state: AnyState): Verdict | Promise<Verdict> {
  let { index, worst } = state;
  for (; index < parts.length; index += 1) {
    const verdict = parts[index]?.(findings);
    if (verdict instanceof Promise) {
      const after = index + 1;
      const before = worst;
      return verdict.then((late) =>
        late === undefined ? undefined : runAny(parts, findings, { index: after, worst: pickWorse(before, late) }),
      );
    }
    if (verdict === undefined) return undefined;
    worst = pickWorse(worst, verdict);
  }
  return worst;
}

function pickWorse(before: JwtStatusName, next: JwtStatusName): JwtStatusName {
  const isVague = next === "missing" || next === "unknownIssuer";
  return before === "missing" || !isVague ? next : before;
}

function runAll(parts: readonly Requirement[], findings: Findings, from: number): Verdict | Promise<Verdict> {
  for (let index = from; index < parts.length; index += 1) {
    const verdict = parts[index]?.(findings);
    if (verdict instanceof Promise) {
      const after = index + 1;
      return verdict.then((late) => late ?? runAll(parts, findings, after));
    }
    if (verdict !== undefined) return verdict;
  }
  return undefined;
}

type ByIssuer = (issuer: string) => Provider | undefined;

function createIssuerIndex(providers: Providers): ByIssuer {
  const byIssuer = new Map<string, Provider>();
  for (const provider of providers.values()) {
    const issuer = provider.wire.issuer ?? "";
    if (!byIssuer.has(issuer)) byIssuer.set(issuer, provider);
  }
  return (issuer) => byIssuer.get(issuer) ?? byIssuer.get("");
}

function listOwnedHeaders(wires: readonly JwtProvider[]): readonly string[] {
  return wires.flatMap(({ forward_payload_header: header, claim_to_headers: claims = [] }) => [
    ...(header ? [header.toLowerCase()] : []),
    ...claims.map(({ header_name: name = "" }) => name.toLowerCase()),
  ]);
}

function compileCheck(check: TokenCheck, byIssuer?: ByIssuer): Requirement {
  const excuse = createExcuse(check.tolerates);
  return (findings) => {
    const { request } = findings.exchange;
    for (const name of check.owned) request.headers.remove(name);
    const tokens = check.find(request);
    // No failed_status_in_metadata: as for Envoy, there was nothing that could fail.
    if (tokens.length === 0) return excuse("missing");
    const verdict = checkTokens(tokens, 0, { check, findings, byIssuer });
    return verdict instanceof Promise ? verdict.then(excuse) : excuse(verdict);
  };
}

interface CheckContext {
  readonly check: TokenCheck;
  readonly findings: Findings;
  readonly byIssuer: ByIssuer | undefined;
}

/** All tokens have to be good, or a server behind might believe the bad one; only a tolerant check goes on after one that is not. */
function checkTokens(tokens: readonly FoundToken[], from: number, context: CheckContext): Verdict | Promise<Verdict> {
  let last: Verdict;
  for (let index = from; index < tokens.length; index += 1) {
    const token = tokens[index];
    if (!token) break;
    const verdict = checkToken(token, context);
    if (verdict instanceof Promise) {
      const after = index + 1;
      return verdict.then((late) => {
        const goesOn = after < tokens.length && (late === undefined || context.check.tolerates !== "nothing");
        return goesOn ? checkTokens(tokens, after, context) : late;
      });
    }
    last = verdict;
    if (verdict !== undefined && context.check.tolerates === "nothing") return verdict;
  }
  return last;
}

function checkToken(token: FoundToken, context: CheckContext): Verdict | Promise<Verdict> {
  let provider = context.check.provider;
  const fail = (cause: unknown): Verdict => {
    if (!(cause instanceof JwtError)) throw cause;
    note(cause.status, provider, context.findings);
    return cause.status;
  };
  try {
    const jwt = provider ? provider.read(token.text) : parseJwt(token.text);
    if (!token.allowsIssuer(jwt.issuer)) throw new JwtError("unknownIssuer");
    provider ??= context.byIssuer?.(jwt.issuer);
    if (!provider) throw new JwtError("unknownIssuer");
    provider.checkClaims(jwt, context.check.areAudiencesAllowed);
    const accepting = { token, provider, findings: context.findings };
    const waiting = provider.verify(jwt);
    if (waiting !== undefined) return waiting.then(() => accept(jwt, accepting)).catch(fail);
    return accept(jwt, accepting);
  } catch (cause: unknown) {
    return fail(cause);
  }
}

interface Accepting {
  readonly token: FoundToken;
  readonly provider: Provider;
  readonly findings: Findings;
}

function accept(jwt: Jwt, { token, provider, findings }: Accepting): undefined {
  const { request } = findings.exchange;
  const { wire } = provider;
  provider.forward(jwt, request);
  if (!wire.forward) token.remove(request);
  if (wire.header_in_metadata) findings.metadata[wire.header_in_metadata] = jwt.header;
  if (wire.payload_in_metadata) {
    const split = wire.normalize_payload_in_metadata?.space_delimited_claims ?? [];
    findings.metadata[wire.payload_in_metadata] = splitClaims(jwt.payload, split);
  }
  if (wire.clear_route_cache) findings.clearsRoute = true;
  return undefined;
}

function splitClaims(payload: Jwt["payload"], names: readonly string[]): Jwt["payload"] {
  if (names.length === 0) return payload;
  const changed = { ...payload };
  for (const name of names) {
    const value = payload[name];
    if (typeof value === "string") changed[name] = value.split(" ").filter((word) => word !== "");
  }
  return changed;
}

function note(status: JwtStatusName, provider: Provider | undefined, { metadata }: Findings): void {
  const key = provider?.wire.failed_status_in_metadata;
  if (!key) return;
  const { code, text } = jwtStatuses[status];
  metadata[key] = { code, message: text };
}
