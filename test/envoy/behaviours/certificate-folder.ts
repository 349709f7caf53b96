/** Certificates of the behaviour suite as files, and as the secrets that Envoys ask for by SDS. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SecretServerOptions } from "../../../tools/run/file-secrets.ts";
import { createTestAuthority, type IssuedCertificate, type TestAuthority } from "../../support/test-authority.ts";

type Secret = NonNullable<ReturnType<SecretServerOptions["find"]>>;

export interface CertificateFolder {
  readonly authority: TestAuthority;
  /** Holds NAME.pem and NAME-key.pem for each of the names below, and ca.pem and strange-ca.pem. */
  readonly path: string;
  /** The certificates of clients and servers, by name. */
  readonly issued: ReadonlyMap<string, IssuedCertificate>;
  /** Finds what a proxy with this identity ("spiffe://...") asks for: its own certificate, the mesh's roots, files. */
  createFinder(identity: string): Promise<SecretServerOptions["find"]>;
  stop(): void;
}

/** Common names of certificates; the stranger's comes from an authority that nobody trusts. */
const certificateNames: readonly (readonly [file: string, ...names: [string, ...string[]]])[] = [
  ["server", "uk.bookinfo.com", "eu.bookinfo.com", "*.test"],
  ["server2", "second.test", "*.second.test"],
  ["client", "client.test", "spiffe://cluster.local/ns/shop/sa/caller"],
];

export async function createCertificateFolder(): Promise<CertificateFolder> {
  const path = mkdtempSync(join(tmpdir(), "meltemi-certificates-"));
  const [authority, strange] = [await createTestAuthority("test roots"), await createTestAuthority("strange roots")];
  const issued = new Map<string, IssuedCertificate>();
  for (const [name, ...names] of certificateNames) issued.set(name, await authority.issue(...names));
  issued.set("stranger", await strange.issue("stranger.test"));
  for (const [name, { certificatePem, privateKeyPem }] of issued) {
    writeFileSync(join(path, `${name}.pem`), certificatePem);
    writeFileSync(join(path, `${name}-key.pem`), privateKeyPem);
  }
  writeFileSync(join(path, "ca.pem"), authority.rootPem);
  writeFileSync(join(path, "strange-ca.pem"), strange.rootPem);
  return {
    ...{ authority, path, issued },
    async createFinder(identity) {
      const own = await authority.issue(identity);
      return (name) => findSecret(name, own, authority.rootPem);
    },
    stop: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** The names are those of src/translate/security/sds.ts. */
function findSecret(name: string, own: IssuedCertificate, rootPem: string): Secret | undefined {
  if (name === "default") {
    return certificateSecret(name, Buffer.from(own.certificatePem), Buffer.from(own.privateKeyPem));
  }
  if (name === "ROOTCA") return rootSecret(name, Buffer.from(rootPem));
  // The rig's own authority is what its operating system trusts.
  if (name === "file-root:system") return rootSecret(name, Buffer.from(rootPem));
  const [, roots] = /^file-root:(.+)$/.exec(name) ?? [];
  if (roots !== undefined) return rootSecret(name, readFileSync(roots));
  const [, certificate, key] = /^file-cert:([^~]+)~(.+)$/.exec(name) ?? [];
  if (certificate === undefined || key === undefined) return undefined;
  return certificateSecret(name, readFileSync(certificate), readFileSync(key));
}

function certificateSecret(name: string, chain: Buffer, key: Buffer): Secret {
  return {
    name,
    tls_certificate: { certificate_chain: { inline_bytes: chain }, private_key: { inline_bytes: key } },
  };
}

function rootSecret(name: string, roots: Buffer): Secret {
  return { name, validation_context: { trusted_ca: { inline_bytes: roots } } };
}
