import { createPrivateKey, X509Certificate } from "node:crypto";
import { expect, it } from "vitest";
import { createSelfSigned } from "./certificate.ts";

it("makes a certificate that verifies under its own key and names its hosts", () => {
  const now = Date.now();
  const pair = createSelfSigned(["uk.bookinfo.com", "localhost"], now);
  const certificate = new X509Certificate(pair.certificatePem);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.checkPrivateKey(createPrivateKey(pair.privateKeyPem))).toBe(true);
  expect(certificate.checkHost("uk.bookinfo.com")).toBe("uk.bookinfo.com");
  expect(certificate.checkHost("eu.bookinfo.com")).toBeUndefined();
  expect(Date.parse(certificate.validFrom)).toBeLessThan(now);
  expect(Date.parse(certificate.validTo)).toBeGreaterThan(now + 300 * 86_400_000);
});
