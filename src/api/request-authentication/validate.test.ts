import { expect, test } from "vitest";
import { parseObject } from "../parse.ts";

/** What is said about a spec, one line a message, without the notice that the kind has no effect yet. */
function said(spec: unknown): readonly string[] {
  const raw = { apiVersion: "security.istio.io/v1", kind: "RequestAuthentication", metadata: { name: "a" }, spec };
  return parseObject(raw)
    .messages.filter(({ code }) => code !== "untranslated-kind")
    .map(({ level, path, text }) => `${level} ${path}: ${text}`);
}

const rule = (fields: object): unknown => ({ jwtRules: [{ issuer: "https://a.example", ...fields }] });
const rsa = { kty: "RSA", n: "AQAB", e: "AQAB", kid: "1", use: "sig", key_ops: ["verify"] };
const keys = (...all: readonly unknown[]): unknown => rule({ jwks: JSON.stringify({ keys: all }) });

test.each([
  [{}],
  [{ selector: { matchLabels: { app: "a" } }, jwtRules: [] }],
  [{ targetRefs: [{ kind: "Service", name: "a" }], jwtRules: [{ jwks_uri: "http://a" }] }],
  [rule({})],
  [{ jwtRules: [{ jwksUri: "https://a.example:8443/keys?x=y#z" }] }],
  [rule({ audiences: ["a"], fromHeaders: [{ name: "x", prefix: "" }], fromParams: ["p"], fromCookies: ["c"] })],
  [rule({ outputPayloadToHeader: "x", forwardOriginalToken: true, spaceDelimitedClaims: ["scope", ""] })],
  [rule({ outputClaimToHeaders: [{ header: "x-Claim-1", claim: "a.b" }], timeout: "1.5s" })],
  [rule({ timeout: "1ms" })],
  [rule({ jwksUri: "", jwks: "" })],
  [keys()],
  [keys(rsa, { kty: "EC", crv: "P-256", x: "AQAB", y: "AQAB" }, { kty: "OKP", crv: "Ed25519", x: "AQ" })],
  [rule({ jwks: JSON.stringify(rsa), jwksUri: "https://a" })],
])("nothing is said about %j", (spec) => expect(said(spec)).toEqual([]));

const at = "spec.jwtRules[0]";
test.each<readonly [unknown, ...string[]]>([
  [{ jwtRules: [{}] }, `error ${at}: one of issuer, jwksUri is required`],
  [{ jwtRules: [null] }, `error ${at}: one of issuer, jwksUri is required`],
  [
    { jwtRules: [{ issuer: "", jwks: "{}" }] },
    `error ${at}: one of issuer, jwksUri is required`,
    `error ${at}.jwks: is not a key set: key 0 must have "kty", one of RSA, EC, OKP, oct`,
  ],
  [
    {
      selector: { matchLabels: { a: "b" } },
      targetRef: { kind: "Gateway", group: "gateway.networking.k8s.io", name: "g" },
    },
    "error spec: only one of selector, targetRef may be set",
  ],
  [rule({ jwksUri: "ftp://a" }), `error ${at}.jwksUri: "ftp://a" must start with http:// or https://`],
  [rule({ jwksUri: "a.example/keys" }), `error ${at}.jwksUri: "a.example/keys" must start with http:// or https://`],
  [rule({ jwksUri: "https://a:x" }), `error ${at}.jwksUri: "https://a:x" has the port "x"`],
  [rule({ jwksUri: "https://a b" }), `error ${at}.jwksUri: "https://a b" has the host "a b"`],
  [rule({ jwks: "x" }), `error ${at}.jwks: is not a key set: is not JSON`],
  [rule({ jwks: "[]" }), `error ${at}.jwks: is not a key set: must be a JSON object`],
  [rule({ jwks: '{"keys": {}}' }), `error ${at}.jwks: is not a key set: "keys" must be a list`],
  [keys(rsa, 1), `error ${at}.jwks: is not a key set: key 1 must be an object`],
  [keys({ ...rsa, kty: "rsa" }), `error ${at}.jwks: is not a key set: key 0 must have "kty", one of RSA, EC, OKP, oct`],
  [keys({ kty: "RSA", n: "AQAB" }), `error ${at}.jwks: is not a key set: key 0 (RSA) has no "e"`],
  [keys({ ...rsa, n: "?" }), `error ${at}.jwks: is not a key set: key 0 has a "n" that is not base64`],
  [keys({ ...rsa, kid: 1 }), `error ${at}.jwks: is not a key set: key 0 has a "kid" that is not text`],
  [
    keys({ ...rsa, key_ops: "verify" }),
    `error ${at}.jwks: is not a key set: key 0 has "key_ops" that are not a list of texts`,
  ],
  [
    keys({ ...rsa, x5c: ["AQAB"] }),
    `error ${at}.jwks: is not a key set: key 0 has an "x5c" with something that is not a certificate`,
  ],
  [
    keys(rsa, { ...rsa, d: "AQAB" }, { kty: "oct", k: "AQAB" }),
    `warning ${at}.jwks: key 1 is private: proxies need public keys only`,
    `warning ${at}.jwks: key 2 is private: proxies need public keys only`,
  ],
  [rule({ audiences: [""] }), `error ${at}.audiences[0]: must not be empty`],
  [rule({ fromParams: ["a", ""] }), `error ${at}.fromParams[1]: must not be empty`],
  [rule({ fromCookies: [null] }), `error ${at}.fromCookies[0]: must not be empty`],
  [rule({ fromHeaders: [{ prefix: "x" }] }), `error ${at}.fromHeaders[0].name: is required`],
  [rule({ fromHeaders: [{ name: "" }] }), `error ${at}.fromHeaders[0].name: must not be empty`],
  [
    rule({ outputClaimToHeaders: [{ header: "x_y", claim: "c" }] }),
    `error ${at}.outputClaimToHeaders[0].header: "x_y" is not a valid header name: letters, digits and "-"`,
  ],
  [rule({ outputClaimToHeaders: [{ header: "x" }] }), `error ${at}.outputClaimToHeaders[0].claim: is required`],
  [rule({ timeout: "0s" }), `error ${at}.timeout: must be at least 1ms`],
  [rule({ timeout: "-1s" }), `error ${at}.timeout: must not be negative`],
  [rule({ timeout: "1500us" }), `error ${at}.timeout: must be whole milliseconds`],
  [rule({ timeout: "5" }), `error ${at}.timeout: must be a duration such as "5s", "100ms" or "1h30m"`],
  [rule({ jwksURI: "https://a" }), `error ${at}.jwksURI: unknown field "jwksURI", did you mean "jwksUri"?`],
])("%j", (spec, ...expected) => expect(said(spec)).toEqual(expected));
