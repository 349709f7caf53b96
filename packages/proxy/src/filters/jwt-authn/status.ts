/** What can be wrong with a token or with keys, in the words and numbers of Envoy, which clients and logs see. */
export const jwtStatuses = {
  missing: { code: 1, text: "Jwt is missing" },
  notYetValid: { code: 2, text: "Jwt not yet valid" },
  expired: { code: 3, text: "Jwt is expired" },
  badFormat: { code: 4, text: "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections" },
  headerBase64: { code: 5, text: "Jwt header is an invalid Base64url encoded" },
  headerJson: { code: 6, text: "Jwt header is an invalid JSON" },
  headerAlg: { code: 7, text: "Jwt header [alg] field is required and must be a string" },
  algUnsupported: { code: 8, text: "Jwt header [alg] is not supported" },
  headerKid: { code: 9, text: "Jwt header [kid] field is not a string" },
  payloadBase64: { code: 10, text: "Jwt payload is an invalid Base64url encoded" },
  payloadJson: { code: 11, text: "Jwt payload is an invalid JSON" },
  iss: { code: 12, text: "Jwt payload [iss] field is not a string" },
  sub: { code: 13, text: "Jwt payload [sub] field is not a string" },
  iat: { code: 14, text: "Jwt payload [iat] field is not an integer" },
  iatNegative: { code: 15, text: "Jwt payload [iat] field is not a positive integer" },
  nbf: { code: 16, text: "Jwt payload [nbf] field is not an integer" },
  nbfNegative: { code: 17, text: "Jwt payload [nbf] field is not a positive integer" },
  exp: { code: 18, text: "Jwt payload [exp] field is not an integer" },
  expNegative: { code: 19, text: "Jwt payload [exp] field is not a positive integer" },
  jti: { code: 20, text: "Jwt payload [jti] field is not a string" },
  aud: { code: 21, text: "Jwt payload [aud] field is not a string or string list" },
  signatureBase64: { code: 22, text: "Jwt signature is an invalid Base64url encoded" },
  unknownIssuer: { code: 24, text: "Jwt issuer is not configured" },
  audience: { code: 25, text: "Audiences in Jwt are not allowed" },
  verification: { code: 26, text: "Jwt verification fails" },
  jwksJson: { code: 28, text: "Jwks is an invalid JSON" },
  jwksNoKeys: { code: 29, text: "Jwks does not have [keys] field" },
  jwksBadKeys: { code: 30, text: "[keys] in Jwks is not an array" },
  jwksNoValidKeys: { code: 31, text: "Jwks doesn't have any valid public key" },
  jwksMismatch: { code: 32, text: "Jwks doesn't have key to match kid or alg from Jwt" },
  jwksFetch: { code: 40, text: "Jwks remote fetch is failed" },
} as const;

export type JwtStatusName = keyof typeof jwtStatuses;

/** A token that is not taken, with the reason. */
export class JwtError extends Error {
  readonly status: JwtStatusName;

  constructor(status: JwtStatusName) {
    super(jwtStatuses[status].text);
    this.name = "JwtError";
    this.status = status;
  }
}
