import { JwtError, type JwtStatusName } from "./status.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** A token that was read, not verified. */
export interface Jwt {
  readonly text: string;
  readonly header: JsonObject;
  readonly payload: JsonObject;
  /** The payload as it stands in the token. */
  readonly payloadText: string;
  /** What was signed: header and payload with the dot between. */
  readonly signed: string;
  readonly signature: Buffer;
  readonly alg: string;
  /** "" where there is none, as are issuer and subject. */
  readonly kid: string;
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
  /** Seconds since the epoch; 0 where there is none. */
  readonly notBefore: number;
  readonly expires: number;
}

const algorithms = new Set([
  ...["ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  "EdDSA",
]);

/** Reads a compact JWS. Throws JwtError with the first thing that is wrong, in Envoy's order. */
export function parseJwt(text: string): Jwt {
  const [header = "", payload = "", signature = "", ...rest] = text.split(".");
  if (header === "" || payload === "" || signature === "" || rest.length > 0) throw new JwtError("badFormat");
  const head = readObject(header, "headerBase64", "headerJson");
  if (typeof head["alg"] !== "string") throw new JwtError("headerAlg");
  if (!algorithms.has(head["alg"])) throw new JwtError("algUnsupported");
  const kid = readText(head, "kid", "headerKid");
  const claims = readObject(payload, "payloadBase64", "payloadJson");
  const issuer = readText(claims, "iss", "iss");
  const subject = readText(claims, "sub", "sub");
  readTime(claims, "iat", ["iat", "iatNegative"]);
  const notBefore = readTime(claims, "nbf", ["nbf", "nbfNegative"]);
  const expires = readTime(claims, "exp", ["exp", "expNegative"]);
  readText(claims, "jti", "jti");
  return {
    text,
    header: head,
    payload: claims,
    payloadText: payload,
    signed: `${header}.${payload}`,
    audiences: readAudiences(claims["aud"]),
    signature: decodeBase64Url(signature, "signatureBase64"),
    alg: head["alg"],
    kid,
    issuer,
    subject,
    notBefore,
    expires,
  };
}

/** Envoy's clocks may differ from the issuer's by `skewSeconds`. Throws JwtError. */
export function checkTimes(jwt: Jwt, nowSeconds: number, skewSeconds: number): void {
  if (jwt.notBefore > nowSeconds + skewSeconds) throw new JwtError("notYetValid");
  if (jwt.expires > 0 && nowSeconds > jwt.expires + skewSeconds) throw new JwtError("expired");
}

function readObject(text: string, base64: JwtStatusName, json: JwtStatusName): JsonObject {
  const bytes = decodeBase64Url(text, base64);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new JwtError(json);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new JwtError(json);
  return value as JsonObject;
}

function decodeBase64Url(text: string, status: JwtStatusName): Buffer {
  if (!/^[A-Za-z0-9_-]+$/.test(text) || text.length % 4 === 1) throw new JwtError(status);
  const bytes = Buffer.from(text, "base64url");
  // Bits beyond the last byte must be none, or several texts were one token.
  if (bytes.toString("base64url") !== text) throw new JwtError(status);
  return bytes;
}

function readText(object: JsonObject, name: string, status: JwtStatusName): string {
  const value = object[name];
  if (value === undefined) return "";
  if (typeof value !== "string") throw new JwtError(status);
  return value;
}

function readTime(object: JsonObject, name: string, [bad, negative]: readonly [JwtStatusName, JwtStatusName]): number {
  const value = object[name];
  if (value === undefined) return 0;
  if (typeof value !== "number") throw new JwtError(bad);
  if (value < 0 || value > Number.MAX_SAFE_INTEGER) throw new JwtError(negative);
  return Math.trunc(value);
}

function readAudiences(value: unknown): readonly string[] {
  if (value === undefined) return [];
  if (typeof value === "string") return [value];
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === "string")) throw new JwtError("aud");
  return value;
}
