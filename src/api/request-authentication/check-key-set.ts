/**
 * JSON Web Key Sets as istiod reads them (github.com/lestrrat-go/jwx v1): a set or a single key; every key has the
 * fields that its type needs.
 */
import { X509Certificate } from "node:crypto";

export interface KeySetReport {
  /** What is wrong with it; absent where it is a key set. */
  readonly fault?: string;
  /** Indexes of keys that hold what must stay private. */
  readonly privateKeys: readonly number[];
}

type Json = { readonly [name: string]: unknown };

interface KeyType {
  readonly texts: readonly string[];
  /** Fields in base64. */
  readonly bytes: readonly string[];
  readonly required: readonly string[];
}

const keyTypes: { readonly [kty: string]: KeyType } = {
  RSA: { texts: [], bytes: ["n", "e"], required: ["n", "e"] },
  EC: { texts: ["crv"], bytes: ["x", "y"], required: ["crv", "x", "y"] },
  OKP: { texts: ["crv"], bytes: ["x"], required: ["crv", "x"] },
  oct: { texts: [], bytes: ["k"], required: ["k"] },
};
const privateBytes: { readonly [kty: string]: readonly string[] } = {
  RSA: ["d", "p", "q", "dp", "dq", "qi"],
  EC: ["d"],
  OKP: ["d"],
};
const commonTexts = ["alg", "kid", "use", "x5t", "x5t#S256"];

/** Reads the text of a key set. Never throws. */
export function checkKeySet(text: string): KeySetReport {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { fault: "is not JSON", privateKeys: [] };
  }
  if (!isObject(value)) return { fault: "must be a JSON object", privateKeys: [] };
  const keys = Object.hasOwn(value, "keys") ? (value["keys"] ?? []) : [value];
  if (!Array.isArray(keys)) return { fault: '"keys" must be a list', privateKeys: [] };
  const privateKeys: number[] = [];
  for (const [index, key] of keys.entries()) {
    const fault = findKeyFault(key);
    if (fault !== undefined) return { fault: `key ${index} ${fault}`, privateKeys: [] };
    if (isObject(key) && (key["kty"] === "oct" || Object.hasOwn(key, "d"))) privateKeys.push(index);
  }
  return { privateKeys };
}

function findKeyFault(key: unknown): string | undefined {
  if (!isObject(key)) return "must be an object";
  const kty = key["kty"];
  const type = typeof kty === "string" && Object.hasOwn(keyTypes, kty) ? keyTypes[kty] : undefined;
  if (typeof kty !== "string" || type === undefined) {
    return `must have "kty", one of ${Object.keys(keyTypes).join(", ")}`;
  }
  const isPrivate = Object.hasOwn(key, "d");
  const ofPrivate = isPrivate && Object.hasOwn(privateBytes, kty) ? (privateBytes[kty] ?? []) : [];
  const required = isPrivate && ofPrivate.length > 0 ? [...type.required, "d"] : type.required;
  const missing = required.find((field) => !Object.hasOwn(key, field));
  if (missing !== undefined) return `(${kty}) has no "${missing}"`;
  return findFieldFault(key, { texts: [...commonTexts, ...type.texts], bytes: [...type.bytes, ...ofPrivate] });
}

function findFieldFault(key: Json, { texts, bytes }: Omit<KeyType, "required">): string | undefined {
  for (const field of texts) {
    if (!isTextOrAbsent(key[field])) return `has a "${field}" that is not text`;
  }
  for (const field of bytes) {
    const value = key[field];
    if (!isTextOrAbsent(value) || !isBase64(value ?? "")) return `has a "${field}" that is not base64`;
  }
  const { key_ops: operations, x5c: certificates } = key;
  if (!isTextList(operations ?? [])) return 'has "key_ops" that are not a list of texts';
  if (!isTextList(certificates ?? [])) return 'has an "x5c" that is not a list of texts';
  const all = (certificates ?? []) as readonly (string | null)[];
  return all.every(isCertificate) ? undefined : 'has an "x5c" with something that is not a certificate';
}

/** A certificate in base64, without the lines of PEM around it. */
function isCertificate(text: string | null): boolean {
  if (text === null || !isBase64(text)) return false;
  try {
    new X509Certificate(Buffer.from(text, "base64"));
    return true;
  } catch {
    return false;
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isTextOrAbsent = (value: unknown): value is string | null | undefined =>
  value === undefined || value === null || typeof value === "string";

const isTextList = (value: unknown): boolean => Array.isArray(value) && value.every(isTextOrAbsent);

/** Base64 of either alphabet; padding, where it is there, must be whole. Line ends are skipped. */
function isBase64(text: string): boolean {
  const plain = text.replace(/[\r\n]/g, "");
  const alphabet = /[+/]/.test(plain) ? /^[A-Za-z0-9+/]*$/ : /^[A-Za-z0-9_-]*$/;
  if (!text.endsWith("=")) return alphabet.test(plain) && plain.length % 4 !== 1;
  return plain.length % 4 === 0 && alphabet.test(plain.replace(/={1,2}$/, ""));
}
