/** How the key of an authority signs. */
import { Buffer } from "node:buffer";
import { type KeyObject, sign } from "node:crypto";
import { CertificateError } from "../lib/certificate.ts";

export interface SigningAlgorithm {
  /** AlgorithmIdentifier in DER (RFC 5758, RFC 4055, RFC 8410). */
  readonly identifier: Buffer;
  /** Null where the algorithm has its own. */
  readonly hash: string | null;
}

const leastRsaBits = 2048;
const ecdsa = (last: string): Buffer => Buffer.from(`300a06082a8648ce3d0403${last}`, "hex");
const rsa: SigningAlgorithm = { identifier: Buffer.from("300d06092a864886f70d01010b0500", "hex"), hash: "sha256" };
const ed25519: SigningAlgorithm = { identifier: Buffer.from("300506032b6570", "hex"), hash: null };

// The hash follows the size of the key.
const byCurve: ReadonlyMap<string, SigningAlgorithm> = new Map([
  ["prime256v1", { identifier: ecdsa("02"), hash: "sha256" }],
  ["secp384r1", { identifier: ecdsa("03"), hash: "sha384" }],
  ["secp521r1", { identifier: ecdsa("04"), hash: "sha512" }],
]);

/** Throws CertificateError for keys that no authority of ours may have. */
export function deriveSigningAlgorithm(key: KeyObject): SigningAlgorithm {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = key;
  if (type === "ed25519") return ed25519;
  if (type === "rsa") {
    if ((details.modulusLength ?? 0) < leastRsaBits) throw new CertificateError("the CA key has less than 2048 bits");
    return rsa;
  }
  const known = type === "ec" ? byCurve.get(details.namedCurve ?? "") : undefined;
  if (known !== undefined) return known;
  throw new CertificateError("the CA key must be RSA, Ed25519, or ECDSA on P-256, P-384 or P-521");
}

/** Signs on a thread of its own: an RSA signature takes about a millisecond, in which the event loop goes on. */
export function signAside(data: Uint8Array, key: KeyObject, { hash }: SigningAlgorithm): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign(hash, data, key, (error, signature) => (error === null ? resolve(signature) : reject(error)));
  });
}
