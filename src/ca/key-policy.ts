/** Which keys of workloads are certified. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { CertificateError } from "../lib/certificate.ts";

const [leastRsaBits, mostRsaBits] = [2048, 8192];
const rsaExponent = 65_537n;
const curves: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);

/**
 * The key of a SubjectPublicKeyInfo in DER: RSA of 2048 to 8192 bits with exponent 65537, ECDSA on P-256, P-384 or P-521,
 * or Ed25519. Throws CertificateError for every other one.
 */
export function parseWorkloadKey(subjectPublicKeyInfo: Uint8Array): KeyObject {
  const key = parsePublicKey(subjectPublicKeyInfo);
  const problem = findKeyProblem(key);
  if (problem !== undefined) throw new CertificateError(problem);
  return key;
}

function parsePublicKey(der: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
  } catch {
    throw new CertificateError("the public key cannot be read");
  }
}

function findKeyProblem({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details = {},
}: KeyObject): string | undefined {
  if (type === "ed25519") return undefined;
  if (type === "ec") return curves.has(details.namedCurve ?? "") ? undefined : "the curve of the key is not taken";
  if (type !== "rsa") return "the public key is of a kind that is not taken";
  const { modulusLength = 0, publicExponent } = details;
  if (modulusLength < leastRsaBits) return `the RSA key has less than ${leastRsaBits} bits`;
  if (modulusLength > mostRsaBits) return `the RSA key has more than ${mostRsaBits} bits`;
  if (publicExponent !== rsaExponent) return `the exponent of the RSA key is not ${rsaExponent}`;
  return undefined;
}
