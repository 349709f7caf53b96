/** A provider of tokens: the checks of one token for it, and what a request gets of one that is good. */
import { durationToMs } from "@meltemi/protos";
import type { JwtProvider } from "@meltemi/protos/envoy/extensions/filters/http/jwt_authn/v3";
import type { HttpRequest } from "../../http/message.ts";
import { within } from "../../lib/config-error.ts";
import type { Counter } from "../../lib/stats.ts";
import { compileStringMatcher } from "../../matchers/string-matcher.ts";
import { type Jwks, verifySignature } from "./jwks.ts";
import { createKeySource, type KeySource, type KeySourceEnv } from "./key-source.ts";
import { checkTimes, type Jwt, parseJwt } from "./parse-jwt.ts";
import { JwtError } from "./status.ts";

export interface ProviderEnv extends KeySourceEnv {
  readonly cacheHit: Counter;
  readonly cacheMiss: Counter;
}

/** Tokens whose signature was verified, by their text: that is dear, and clients send the same one again. */
const defaultCacheSize = 100;
const longestCached = 4096;

export class Provider {
  readonly wire: JwtProvider;
  readonly name: string;
  readonly keys: KeySource;
  readonly #env: ProviderEnv;
  readonly #skewSeconds: number;
  readonly #isSubjectAllowed: (subject: string) => boolean;
  readonly #areAudiencesAllowed: (audiences: readonly string[]) => boolean;
  readonly #maxLifetimeSeconds: number | undefined;
  readonly #verified = new Map<string, Jwt>();
  #verifiedWith: Jwks | undefined;
  readonly #cacheSize: number;

  /** Throws ConfigError. */
  constructor(name: string, wire: JwtProvider, env: ProviderEnv) {
    const { subjects } = wire;
    this.name = name;
    this.wire = wire;
    this.#env = env;
    this.#skewSeconds = wire.clock_skew_seconds || 60;
    this.#isSubjectAllowed = subjects ? within("subjects", () => compileStringMatcher(subjects)) : () => true;
    this.#areAudiencesAllowed = compileAudiences(wire.audiences);
    const lifetimeMs = durationToMs(wire.max_lifetime);
    this.#maxLifetimeSeconds = lifetimeMs === undefined ? undefined : lifetimeMs / 1000;
    this.#cacheSize = wire.jwt_cache_config?.jwt_cache_size || defaultCacheSize;
    this.keys = createKeySource(name, wire, env);
  }

  /** The token where its signature was verified before, or what stands in it. Throws JwtError. */
  read(text: string): Jwt {
    const known = this.#verified.get(text);
    if (this.wire.jwt_cache_config && known) this.#env.cacheHit.inc();
    else this.#env.cacheMiss.inc();
    return known ?? parseJwt(text);
  }

  /** Checks all but the signature. Throws JwtError. */
  checkClaims(jwt: Jwt, areAudiencesAllowed = this.#areAudiencesAllowed): void {
    const now = Math.trunc(this.#env.clock.now() / 1000);
    checkTimes(jwt, now, this.#skewSeconds);
    if (!this.#isSubjectAllowed(jwt.subject) || !this.#isLifetimeAllowed(jwt, now)) throw new JwtError("verification");
    if (!areAudiencesAllowed(jwt.audiences)) throw new JwtError("audience");
  }

  /** Checks the signature, with keys that are fetched where they are not there. Throws or rejects with JwtError. */
  verify(jwt: Jwt): Promise<void> | undefined {
    const { current } = this.keys;
    if (!current) return this.keys.load().then((keys) => this.#verifyWith(jwt, keys));
    this.#verifyWith(jwt, current);
    return undefined;
  }

  /** Puts what the provider's settings say into the request. */
  forward(jwt: Jwt, request: HttpRequest): void {
    const { headers } = request;
    const { forward_payload_header: header, pad_forward_payload_header: isPadded } = this.wire;
    if (header) headers.append(header.toLowerCase(), isPadded ? padBase64(jwt.payloadText) : jwt.payloadText);
    for (const { header_name: name = "", claim_name: claim = "" } of this.wire.claim_to_headers ?? []) {
      const text = claimText(findClaim(jwt.payload, claim));
      if (text !== "") headers.append(name.toLowerCase(), text);
    }
  }

  #verifyWith(jwt: Jwt, keys: Jwks): void {
    if (this.#verifiedWith !== keys) {
      this.#verified.clear();
      this.#verifiedWith = keys;
    }
    if (this.#verified.get(jwt.text) === jwt) return;
    verifySignature(jwt, keys);
    if (jwt.text.length > longestCached) return;
    this.#verified.set(jwt.text, jwt);
    if (this.#verified.size <= this.#cacheSize) return;
    for (const oldest of this.#verified.keys()) {
      this.#verified.delete(oldest);
      break;
    }
  }

  #isLifetimeAllowed({ expires }: Jwt, now: number): boolean {
    if (this.#maxLifetimeSeconds === undefined) return !this.wire.require_expiration || expires > 0;
    return expires > 0 && expires - now <= this.#maxLifetimeSeconds;
  }
}

/** A test of a token's audiences: any of them has to be among those given, schemes and last slashes aside. */
export function compileAudiences(audiences: readonly string[] | undefined): (given: readonly string[]) => boolean {
  if (!audiences || audiences.length === 0) return () => true;
  const allowed = new Set(audiences.map(trimAudience));
  return (given) => given.some((audience) => allowed.has(trimAudience(audience)));
}

function trimAudience(audience: string): string {
  return audience.replace(/^https?:\/\//, "").replace(/\/$/, "");
}

function padBase64(text: string): string {
  return text.padEnd(Math.ceil(text.length / 4) * 4, "=");
}

function findClaim(payload: Jwt["payload"], path: string): unknown {
  let value: unknown = payload;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    value = (value as Jwt["payload"])[name];
  }
  return value;
}

/** A claim as a header has it; "" where it cannot be one. */
function claimText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number") return Number.isInteger(value) && value >= 0 ? String(value) : value.toFixed(6);
  if (typeof value !== "object" || value === null) return "";
  return Buffer.from(JSON.stringify(value)).toString("base64");
}
