/** Certificates of workloads in files, for meshes without a cluster. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { issueWorkloadCertificate } from "../ca/authority.ts";
import { createFileAuthorityStore } from "../ca/authority-files.ts";
import { formatInstant, systemClock } from "../lib/clock.ts";
import { formatSpiffeIdentity, parseSpiffeIdentity, type SpiffeIdentity } from "../lib/spiffe.ts";

export interface WorkloadCertificateOptions {
  readonly identity: SpiffeIdentity;
  readonly outDirectory: string;
  /** Made where there is none. */
  readonly authorityDirectory: string;
  readonly lifetimeMs: number;
}

const rootLifetimeMs = 3650 * 24 * 3_600_000;

/**
 * Issues a certificate and writes it: cert-chain.pem, key.pem and root-cert.pem as Istio's agent names them, and
 * certificate.json and roots.json, in which Envoy finds them. Gives lines for people. Rejects where the authority or the
 * directory cannot be used.
 */
export async function writeWorkloadCertificate(options: WorkloadCertificateOptions): Promise<readonly string[]> {
  const { outDirectory, authorityDirectory, lifetimeMs } = options;
  const uri = formatSpiffeIdentity(options.identity);
  const identity = parseSpiffeIdentity(uri);
  if (identity === undefined)
    throw new Error(`${uri} is no identity: namespaces and accounts are lower-case DNS names`);
  const local = { organization: identity.trustDomain, rootLifetimeMs, clock: systemClock };
  const authority = await createFileAuthorityStore(authorityDirectory, local).load();
  const issued = await issueWorkloadCertificate(authority, { identity, lifetimeMs, nowMs: systemClock.now() });
  await mkdir(outDirectory, { recursive: true, mode: 0o700 });
  const [chain, key, roots] = ["cert-chain.pem", "key.pem", "root-cert.pem"].map((name) => join(outDirectory, name));
  const certificate = {
    certificate_chain: { filename: chain },
    private_key: { filename: key },
  };
  // The files that Envoy watches come last: by then everything they name is there.
  const files: readonly (readonly [string, string, number])[] = [
    ["cert-chain.pem", issued.chain, 0o644],
    ["key.pem", issued.privateKey.reveal(), 0o600],
    ["root-cert.pem", authority.roots, 0o644],
    ["certificate.json", formatSecret("certificate", { tls_certificate: certificate }), 0o644],
    ["roots.json", formatSecret("roots", { validation_context: { trusted_ca: { filename: roots } } }), 0o644],
  ];
  for (const [name, text, mode] of files) await replaceFile(join(outDirectory, name), text, mode);
  return [
    `${uri}: written to ${outDirectory}, valid until ${formatInstant(issued.notAfterMs)}`,
    `signed by the authority in ${authorityDirectory} (ROOT_CA_DIR of meltemi serve)`,
  ];
}

/** envoy.service.discovery.v3.DiscoveryResponse as Envoy reads it from a file. */
function formatSecret(name: string, content: object): string {
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
  return `${JSON.stringify({ resources: [{ "@type": type, name, ...content }] }, null, 2)}\n`;
}

/** In one step: nobody reads half a file. */
async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const draft = `${path}.new`;
  await writeFile(draft, text, { mode });
  await rename(draft, path);
}
