import { createPrivateKey, createPublicKey } from "node:crypto";
import { expect, test } from "vitest";
import { decodePem, parseSigningRequest } from "../../../../src/ca/signing-request.ts";
import { checkKeyKind, createCertificateRequest } from "./certificate-request.ts";
import type { KeyKind } from "./secret-source.ts";

const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };

test.each<{ name: string; key: KeyKind; isPkcs8: boolean; heading: string }>([
  { name: "ECDSA on P-256", key: { kind: "ecdsa", curve: "P-256" }, isPkcs8: false, heading: "EC PRIVATE KEY" },
  { name: "ECDSA on P-384", key: { kind: "ecdsa", curve: "P-384" }, isPkcs8: true, heading: "PRIVATE KEY" },
  { name: "RSA", key: { kind: "rsa", bits: 2048 }, isPkcs8: false, heading: "RSA PRIVATE KEY" },
  { name: "RSA in PKCS #8", key: { kind: "rsa", bits: 2048 }, isPkcs8: true, heading: "PRIVATE KEY" },
])("a request that the authority takes: $name", async ({ key, isPkcs8, heading }) => {
  const request = await createCertificateRequest({ identity, key, isPkcs8 });
  const own = createPrivateKey(request.privateKey.reveal());
  expect(request.privateKey.reveal()).toContain(`-----BEGIN ${heading}-----`);
  const checked = await parseSigningRequest(request.pem);
  expect(Buffer.from(checked.publicKey)).toEqual(createPublicKey(own).export({ type: "spki", format: "der" }));
  expect(decodePem(request.pem).toString("latin1")).toContain("spiffe://cluster.local/ns/shop/sa/cart");
  if (key.kind === "rsa") expect(own.asymmetricKeyDetails?.publicExponent).toBe(65537n);
  else expect(own.asymmetricKeyDetails?.namedCurve).toBe(key.curve === "P-256" ? "prime256v1" : "secp384r1");
});

test("each request has a key of its own", async () => {
  const make = () => createCertificateRequest({ identity, key: { kind: "ecdsa", curve: "P-256" }, isPkcs8: true });
  const [first, second] = await Promise.all([make(), make()]);
  expect(first.privateKey.reveal()).not.toBe(second.privateKey.reveal());
});

test.each([1024, 2047, 8193, Number.NaN])("RSA keys of %d bits are refused", (bits) => {
  expect(() => checkKeyKind({ kind: "rsa", bits })).toThrow(RangeError);
});
