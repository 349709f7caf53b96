/** Checks 1 to 6 and 28 of the certificate authority: what it reads of a request, and which ones it refuses. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { KeyUsageFlags } from "@peculiar/asn1-x509";
import { expect, test } from "vitest";
import { checkRequestForRegistration } from "../../src/ca/registration-request.ts";
import { parseSigningRequest, SigningRequestError } from "../../src/ca/signing-request.ts";
import {
  createExtension,
  createRequest,
  createRequestDer,
  formatRequest,
  requested,
  sharedKeys,
} from "../support/signing-requests.ts";

const good = createRequest();
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const own = "spiffe://cluster.local/ns/shop/sa/cart";

async function refusalOf(checking: Promise<unknown>): Promise<string> {
  try {
    await checking;
    return "taken";
  } catch (cause: unknown) {
    if (cause instanceof SigningRequestError) return cause.message;
    throw cause;
  }
}

test("a request gives its key, and nothing else of it counts", async () => {
  const pem = createRequest({
    organization: "somebody",
    commonName: "root",
    extensions: [requested.names({ dNSName: "istiod.istio-system.svc" }), requested.leaf()],
  });
  const { publicKey } = await parseSigningRequest(pem);
  expect(Buffer.from(publicKey).equals(sharedKeys.publicKey.export({ type: "spki", format: "der" }))).toBe(true);
});

test("CA-2 a request that is not signed with its own key is refused", async () => {
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  expect(await refusalOf(parseSigningRequest(createRequest({ signedBy: other.privateKey })))).toMatch("not signed");
  const der = createRequestDer();
  der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
  expect(await refusalOf(parseSigningRequest(formatRequest(der)))).toMatch("not signed");
});

test("CA-2 a signature that is weak or of another kind of key is refused", async () => {
  const sha1 = createRequest({ algorithm: "1.2.840.10045.4.1" });
  expect(await refusalOf(parseSigningRequest(sha1))).toMatch("of a kind that is not taken");
  const wrong = createRequest({ algorithm: "1.3.101.112" });
  expect(await refusalOf(parseSigningRequest(wrong))).toMatch("of a kind that is not taken");
});

const der = createRequestDer();
const nested = (depth: number): Buffer => {
  let bytes = Buffer.from([5, 0]);
  for (let level = 0; level < depth; level++) {
    const length = bytes.length < 128 ? [bytes.length] : [0x82, bytes.length >> 8, bytes.length & 0xff];
    bytes = Buffer.concat([Buffer.from([0x30, ...length]), bytes]);
  }
  return bytes;
};

test.each<[string, string]>([
  ["nothing", ""],
  ["text", "please"],
  ["a block of another kind", formatRequest(der, "NEW CERTIFICATE REQUEST")],
  ["a certificate's label", formatRequest(der, "CERTIFICATE")],
  ["two blocks", good + good],
  ["text before the block", `x\n${good}`],
  ["text behind the block", `${good}x`],
  ["a block without an end", good.replace(/-----END.*/, "")],
  ["letters that are not base64", good.replace(/\n(.)/, "\n*")],
  ["base64 that is cut", good.replace(/.\n-----END/, "\n-----END")],
  ["an empty block", formatRequest(Buffer.alloc(0))],
  ["bytes behind the request", formatRequest(Buffer.concat([der, Buffer.from([0])]))],
  ["two requests in one block", formatRequest(Buffer.concat([der, der]))],
  ["bytes that are missing", formatRequest(der.subarray(0, -3))],
  ["an indefinite length", formatRequest(Buffer.from([0x30, 0x80, 0x02, 0x01, 0x00, 0x00, 0x00]))],
  ["a length that is longer than needed", formatRequest(lengthen(der))],
  ["noise", formatRequest(randomBytes(200))],
  ["a thousand levels", formatRequest(nested(1000))],
  ["another structure", formatRequest(nested(3))],
])("CA-3 %s is no request", async (_case, pem) => {
  expect(await refusalOf(parseSigningRequest(pem))).toMatch(
    /^the request is (not (one block|in base64|in DER)|no PKCS #10)/,
  );
});

/** The same request with a length in three bytes in place of two. */
function lengthen(request: Buffer): Buffer {
  const content = request.subarray(request.readUInt8(1) === 0x81 ? 3 : 4);
  return Buffer.concat([Buffer.from([0x30, 0x83, 0, content.length >> 8, content.length & 0xff]), content]);
}

test("a request may end in any line end", async () => {
  expect(await refusalOf(parseSigningRequest(`\n${good.replaceAll("\n", "\r\n")}\n `))).toBe("taken");
});

test.each([
  ["e-mail", { rfc822Name: "a@b.c" }, "no URI"],
  ["address", { iPAddress: "10.0.0.1" }, "no URI"],
  ["host", { dNSName: "a.b" }, "no URI"],
  ["somebody else", { uniformResourceIdentifier: "spiffe://cluster.local/ns/shop/sa/admin" }, "somebody else"],
])("CA-4 a request with the name of an %s is not passed on", async (_case, name, reason) => {
  const pem = createRequest({ extensions: [requested.names(name)] });
  expect(await refusalOf(parseSigningRequest(pem))).toBe("taken");
  expect(await refusalOf(checkRequestForRegistration(pem, identity))).toMatch(reason);
});

test("CA-4 a request with two names, another extension or a subject is not passed on", async () => {
  const uri = { uniformResourceIdentifier: own };
  for (const [pem, reason] of [
    [createRequest({ extensions: [requested.names(uri, uri)] }), "several names"],
    [createRequest({ extensions: [requested.names(uri), requested.leaf()] }), "extension that is no name"],
    [createRequest({ extensions: [requested.names(uri), requested.names(uri)] }), "extension that is no name"],
    [createRequest({ extensions: [createExtension("1.2.3.4", Buffer.from([5, 0]))] }), "extension that is no name"],
    [createRequest({ organization: "x" }), "subject"],
    [createRequest({ organization: "", commonName: "x" }), "subject"],
    [createRequest({ commonName: "" }), "subject"],
  ] as const) {
    expect(await refusalOf(checkRequestForRegistration(pem, identity))).toMatch(reason);
  }
});

test("requests as agents send them are passed on", async () => {
  const uri = { uniformResourceIdentifier: own };
  for (const pem of [
    good,
    createRequest({ extensions: [requested.names(uri)] }),
    createRequest({ organization: "", extensions: [requested.names(uri)] }),
  ]) {
    expect(await refusalOf(checkRequestForRegistration(pem, identity))).toBe("taken");
  }
});

test.each([
  ["CA:TRUE", () => [requested.authority()]],
  ["CA:TRUE behind another extension", () => [requested.names({ dNSName: "a" }), requested.authority()]],
  ["keyCertSign", () => [requested.usage(KeyUsageFlags.keyCertSign | KeyUsageFlags.digitalSignature)]],
  ["cRLSign", () => [requested.usage(KeyUsageFlags.cRLSign)]],
])("CA-5 a request for %s is refused", async (_case, extensions) => {
  const pem = createRequest({ extensions: extensions() });
  expect(await refusalOf(parseSigningRequest(pem))).toMatch("for a certificate authority");
});

test("CA-5 extensions that cannot be read are refused", async () => {
  const broken = createExtension("2.5.29.19", Buffer.from([2, 1, 1]));
  expect(await refusalOf(parseSigningRequest(createRequest({ extensions: [broken] })))).toMatch("cannot be read");
});

test("usual extensions are taken", async () => {
  const extensions = [requested.leaf(), requested.usage(KeyUsageFlags.digitalSignature)];
  expect(await refusalOf(parseSigningRequest(createRequest({ extensions })))).toBe("taken");
});

const rsa = (modulusLength: number, publicExponent = 65_537) =>
  generateKeyPairSync("rsa", { modulusLength, publicExponent });
const ec = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve });

test.each([
  ["RSA with 1024 bits", () => rsa(1024), "less than 2048 bits"],
  ["RSA with exponent 3", () => rsa(2048, 3), "exponent"],
  ["P-224", () => ec("secp224r1"), "curve"],
  ["P-192", () => ec("prime192v1"), "curve"],
  ["secp256k1", () => ec("secp256k1"), "curve"],
  ["Ed448", () => generateKeyPairSync("ed448"), "kind that is not taken"],
  ["DSA", () => generateKeyPairSync("dsa", { modulusLength: 1024, divisorLength: 160 }), "kind that is not taken"],
])("CA-6 a key of %s is refused", async (_case, createKeys, reason) => {
  expect(await refusalOf(parseSigningRequest(createRequest({ keys: createKeys() })))).toMatch(reason);
});

test("CA-6 an RSA key of more than 8192 bits, or with exponent 1, is refused", async () => {
  expect(await refusalOf(parseSigningRequest(withRsaKey((1n << 8200n) + 1n, 65_537n)))).toMatch("more than 8192 bits");
  expect(await refusalOf(parseSigningRequest(withRsaKey((1n << 2047n) + 1n, 1n)))).toMatch(/exponent|cannot be read/);
});

test.each([
  ["RSA with 2048 bits", () => rsa(2048)],
  ["P-384", () => ec("P-384")],
  ["P-521", () => ec("P-521")],
  ["Ed25519", () => generateKeyPairSync("ed25519")],
])("a key of %s is taken", async (_case, createKeys) => {
  expect(await refusalOf(parseSigningRequest(createRequest({ keys: createKeys() })))).toBe("taken");
});

/** A request whose key nobody has made: only its numbers are looked at. */
function withRsaKey(modulus: bigint, exponent: bigint): string {
  const key = element(0x30, number(modulus), number(exponent));
  const algorithm = Buffer.from("300d06092a864886f70d0101010500", "hex");
  const spki = element(0x30, algorithm, element(0x03, Buffer.from([0]), key));
  const info = element(
    0x30,
    Buffer.from("020100", "hex"),
    Buffer.from("3000", "hex"),
    spki,
    Buffer.from("a000", "hex"),
  );
  const signature = element(0x03, Buffer.alloc(257));
  return formatRequest(element(0x30, info, Buffer.from("300d06092a864886f70d01010b0500", "hex"), signature));
}

function element(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const long = length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...(length < 128 ? [length] : long)]), content]);
}

function number(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  return element(0x02, bytes.readUInt8(0) >= 128 ? Buffer.from([0]) : Buffer.alloc(0), bytes);
}

test("CA-28 a request of more than 16 KiB is refused before it is read", async () => {
  const pem = createRequest({ extensions: [createExtension("1.2.3.4", Buffer.alloc(13_000))] });
  expect(pem.length).toBeGreaterThan(16 * 1024);
  expect(await refusalOf(parseSigningRequest(pem))).toMatch("longer than 16384 bytes");
  const less = createRequest({ extensions: [createExtension("1.2.3.4", Buffer.alloc(10_000))] });
  expect(await refusalOf(parseSigningRequest(less))).toBe("taken");
});
