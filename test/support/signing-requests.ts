/** Certificate signing requests for tests, made with packages of others: also such as no client would send. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { Attributes, CertificationRequest, CertificationRequestInfo } from "@peculiar/asn1-csr";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  Attribute,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Extension,
  Extensions,
  GeneralName,
  KeyUsage,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
} from "@peculiar/asn1-x509";

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface RequestOptions {
  /** A new P-256 key where not given. */
  readonly keys?: KeyPair;
  /** Whose signature it bears; that of `keys` where not given. */
  readonly signedBy?: KeyObject;
  readonly extensions?: readonly Extension[];
  readonly organization?: string;
  readonly commonName?: string;
  /** Algorithm that the request names; that of the key where not given. */
  readonly algorithm?: string;
}

const algorithms: Readonly<Record<string, readonly [oid: string, hash: string | null]>> = {
  ec: ["1.2.840.10045.4.3.2", "sha256"],
  rsa: ["1.2.840.113549.1.1.11", "sha256"],
  dsa: ["2.16.840.1.101.3.4.3.2", "sha256"],
  ed25519: ["1.3.101.112", null],
  ed448: ["1.3.101.113", null],
};

/** One key for all tests that do not look at it: making keys costs time. */
export const sharedKeys: KeyPair = generateKeyPairSync("ec", { namedCurve: "P-256" });

export function createRequestDer(options: RequestOptions = {}): Buffer {
  const { publicKey, privateKey } = options.keys ?? sharedKeys;
  const type = publicKey.asymmetricKeyType ?? "";
  const [oid = "", hash = null] = algorithms[type] ?? [];
  const spki = publicKey.export({ type: "spki", format: "der" });
  const info = new CertificationRequestInfo({
    subject: createSubject(options),
    subjectPKInfo: AsnConvert.parse(spki, SubjectPublicKeyInfo),
    attributes: new Attributes(options.extensions === undefined ? [] : [createExtensionRequest(options.extensions)]),
  });
  const signed = Buffer.from(AsnConvert.serialize(info));
  const algorithm = new AlgorithmIdentifier({
    algorithm: options.algorithm ?? oid,
    ...(type === "rsa" ? { parameters: Uint8Array.from([5, 0]).buffer } : {}),
  });
  const signature = Uint8Array.from(sign(hash, signed, options.signedBy ?? privateKey)).buffer;
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: algorithm,
    signature,
  });
  return Buffer.from(AsnConvert.serialize(request));
}

export function createRequest(options: RequestOptions = {}): string {
  return formatRequest(createRequestDer(options));
}

export function formatRequest(der: Uint8Array, label = "CERTIFICATE REQUEST"): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

function createSubject({ organization, commonName }: RequestOptions): Name {
  const parts = [
    ["2.5.4.10", organization],
    ["2.5.4.3", commonName],
  ] as const;
  return new Name(
    parts.flatMap(([type, text]) => {
      if (text === undefined) return [];
      const value = new AttributeValue({ utf8String: text });
      return [new RelativeDistinguishedName([new AttributeTypeAndValue({ type, value })])];
    }),
  );
}

function createExtensionRequest(extensions: readonly Extension[]): Attribute {
  const value = AsnConvert.serialize(new Extensions([...extensions]));
  return new Attribute({ type: "1.2.840.113549.1.9.14", values: [value] });
}

export function createExtension(extnID: string, value: Uint8Array): Extension {
  return new Extension({ extnID, critical: false, extnValue: new OctetString(value) });
}

const encode = (value: unknown): Uint8Array => new Uint8Array(AsnConvert.serialize(value));

export const requested = {
  authority: () => createExtension("2.5.29.19", encode(new BasicConstraints({ cA: true }))),
  leaf: () => createExtension("2.5.29.19", encode(new BasicConstraints({ cA: false }))),
  /** KeyUsageFlags. */
  usage: (flags: number) => createExtension("2.5.29.15", encode(new KeyUsage(flags))),
  names: (...names: readonly Partial<GeneralName>[]) =>
    createExtension("2.5.29.17", encode(new SubjectAlternativeName(names.map((name) => new GeneralName(name))))),
};

/** What is common to a request and the certificate of its key. */
export const hashOfKey = (key: KeyObject): string =>
  createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest("hex");
