/** Sets of public keys, and the check of signatures with them. */
import {
  constants,
  createHmac,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  timingSafeEqual,
  verify,
  X509Certificate,
} from "node:crypto";
import type { Jwt } from "./parse-jwt.ts";
import { JwtError } from "./status.ts";

interface Key {
  /** "" where the set does not say, as is `alg`. */
  readonly kid: string;
  readonly alg: string;
  readonly verifies: (jwt: Jwt) => boolean;
}

/** Keys that are ready to verify with. */
export type Jwks = readonly Key[];

/**
 * Reads a key set: RFC 7517, or an object of certificates (PEM) by key id. Keys that cannot be used are left out; throws
 * JwtError where none is left.
 */
export function parseJwks(text: string): Jwks {
  const set = parseObject(text);
  const list = set["keys"] ?? listCertificates(set);
  if (list === undefined) throw new JwtError("jwksNoKeys");
  if (!Array.isArray(list)) throw new JwtError("jwksBadKeys");
  const keys = list.flatMap((entry: unknown) => compileKey(entry) ?? []);
  if (keys.length === 0) throw new JwtError("jwksNoValidKeys");
  return keys;
}

/** Checks the signature with the keys that fit by id and algorithm. Throws JwtError. */
export function verifySignature(jwt: Jwt, jwks: Jwks): void {
  let hasFitting = false;
  for (const key of jwks) {
    if (jwt.kid !== "" && key.kid !== "" && key.kid !== jwt.kid) continue;
    if (key.alg !== "" && key.alg !== jwt.alg) continue;
    hasFitting = true;
    if (key.verifies(jwt)) return;
  }
  throw new JwtError(hasFitting ? "verification" : "jwksMismatch");
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Said below.
  }
  throw new JwtError("jwksJson");
}

interface CertificateEntry {
  readonly kid: string;
  readonly certificate: string;
}

function listCertificates(set: Readonly<Record<string, unknown>>): readonly CertificateEntry[] | undefined {
  const entries = Object.entries(set);
  const isPem = (value: unknown): value is string => typeof value === "string" && value.includes("BEGIN CERTIFICATE");
  if (entries.length === 0 || !entries.every(([, value]) => isPem(value))) return undefined;
  return entries.map(([kid, certificate]) => ({ kid, certificate: String(certificate) }));
}

type KeyEntry = JsonWebKey & Partial<CertificateEntry> & { readonly kid?: unknown; readonly alg?: unknown };

function compileKey(entry: unknown): Key | undefined {
  if (typeof entry !== "object" || entry === null) return undefined;
  const jwk = entry as KeyEntry;
  const kid = typeof jwk.kid === "string" ? jwk.kid : "";
  const alg = typeof jwk.alg === "string" ? jwk.alg : "";
  try {
    if (jwk.certificate !== undefined) return compilePublic(new X509Certificate(jwk.certificate).publicKey, kid, alg);
    if (jwk.kty !== "oct") return compilePublic(createPublicKey({ key: jwk, format: "jwk" }), kid, alg);
    return jwk.k === undefined ? undefined : compileSecret(Buffer.from(jwk.k, "base64url"), kid, alg);
  } catch {
    return undefined;
  }
}

const prefixes: Readonly<Record<string, readonly string[]>> = {
  rsa: ["RS", "PS"],
  ec: ["ES"],
  ed25519: ["EdDSA"],
};
const curves: Readonly<Record<string, string>> = { ES256: "prime256v1", ES384: "secp384r1", ES512: "secp521r1" };

function compilePublic(key: KeyObject, kid: string, alg: string): Key | undefined {
  const fitting = prefixes[key.asymmetricKeyType ?? ""] ?? [];
  if (alg !== "" && !fitting.some((prefix) => alg.startsWith(prefix))) return undefined;
  return {
    kid,
    alg,
    verifies: (jwt) => fitting.some((prefix) => jwt.alg.startsWith(prefix)) && isSigned(jwt, key),
  };
}

function isSigned({ alg, signed, signature }: Jwt, key: KeyObject): boolean {
  const bytes = Buffer.from(signed);
  if (alg === "EdDSA") return verify(null, bytes, key, signature);
  const hash = `sha${alg.slice(2)}`;
  if (alg.startsWith("ES")) {
    if (key.asymmetricKeyDetails?.namedCurve !== curves[alg]) return false;
    return verify(hash, bytes, { key, dsaEncoding: "ieee-p1363" }, signature);
  }
  if (alg.startsWith("RS")) return verify(hash, bytes, key, signature);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return verify(hash, bytes, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }, signature);
}

function compileSecret(secret: Buffer, kid: string, alg: string): Key | undefined {
  if (alg !== "" && !alg.startsWith("HS")) return undefined;
  return {
    kid,
    alg,
    verifies(jwt) {
      if (!jwt.alg.startsWith("HS")) return false;
      const expected = createHmac(`sha${jwt.alg.slice(2)}`, secret)
        .update(jwt.signed)
        .digest();
      return expected.length === jwt.signature.length && timingSafeEqual(expected, jwt.signature);
    },
  };
}
