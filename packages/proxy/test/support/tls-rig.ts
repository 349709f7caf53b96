/** Certificates and small pieces for tests of TLS. */
import type {
  CertificateValidationContext,
  TlsCertificate,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import {
  createTestAuthority,
  type IssuedCertificate,
  type TestAuthority,
} from "../../../../test/support/test-authority.ts";

export const identity = "spiffe://cluster.local/ns/shop/sa/caller";

export interface TestCertificates {
  readonly authority: TestAuthority;
  readonly strange: TestAuthority;
  /** a.test and *.b.test. */
  readonly server: IssuedCertificate;
  /** c.test */
  readonly other: IssuedCertificate;
  readonly client: IssuedCertificate;
  /** The client's identity by roots that nobody trusts. */
  readonly stranger: IssuedCertificate;
  trust(change?: CertificateValidationContext): CertificateValidationContext;
}

export async function createTestCertificates(): Promise<TestCertificates> {
  const [authority, strange] = [await createTestAuthority("test roots"), await createTestAuthority("strange roots")];
  return {
    ...{ authority, strange },
    server: await authority.issue("a.test", "*.b.test"),
    other: await authority.issue("c.test"),
    client: await authority.issue(identity),
    stranger: await strange.issue(identity),
    trust: (change = {}) => ({ trusted_ca: { inline_string: authority.rootPem }, ...change }),
  };
}

export function toWire({ certificatePem, privateKeyPem }: IssuedCertificate): TlsCertificate {
  return { certificate_chain: { inline_string: certificatePem }, private_key: { inline_string: privateKeyPem } };
}

export function withKeys({ certificatePem, privateKeyPem }: IssuedCertificate): {
  readonly cert: string;
  readonly key: string;
} {
  return { cert: certificatePem, key: privateKeyPem };
}
