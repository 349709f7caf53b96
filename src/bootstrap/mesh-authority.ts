/** The certificate authority of this process, and the certificates of its servers. */
import { access } from "node:fs/promises";
import type { Authority } from "../ca/authority.ts";
import { createMemoryAuthorityStore, holdsGeneratedAuthority, readAuthority } from "../ca/authority-files.ts";
import { type AuthorityStore, AuthorityStoreError, createAuthorityStore } from "../ca/authority-store.ts";
import { watchDirectories } from "../ca/directory-watch.ts";
import { createLiveAuthority, type LiveAuthority } from "../ca/live-authority.ts";
import { createServingCertificates, listServiceNames, type ServingCertificates } from "../ca/serving-certificates.ts";
import type { TlsFiles } from "../ca/tls-files.ts";
import { mergeRoots } from "../ca/trust-bundle.ts";
import type { Flags } from "../config/flags.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { readExternalRoots } from "./external-signer.ts";

export interface MeshAuthorityOptions {
  readonly flags: Flags;
  /** Undefined where the mesh is read from files. */
  readonly client: KubeClient | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** What an operator put into ROOT_CA_DIR comes first, then what the cluster keeps; without one it lives in memory. */
export function createMeshAuthority({ flags, client, clock, log }: MeshAuthorityOptions): LiveAuthority {
  const { namespace, domain: organization, rootCaDir, usesCacerts } = flags;
  const made = { ...deriveRootOptions(flags), organization, clock };
  const below =
    client === undefined
      ? createMemoryAuthorityStore(made)
      : createAuthorityStore({ ...made, client, namespace, usesCacerts, log });
  const store: AuthorityStore = {
    async load(signal) {
      const isOurs = usesCacerts && client !== undefined && (await holdsGeneratedAuthority(rootCaDir));
      const pluggedIn = isOurs ? undefined : await readAuthority(rootCaDir, clock.now());
      const found = await addExternalRoots(pluggedIn ?? (await below.load(signal)), flags);
      if (flags.caCrl || found.crl === undefined) return found;
      const { crl: _, ...rest } = found;
      return rest;
    },
    watch: (run) => watchDirectories([rootCaDir], { clock, log: log.child({ component: "ca" }), onSettled: run }),
  };
  return createLiveAuthority({ store, clock, log, overlapMs: flags.rootOverlap, leafLifetimeMs: longestLifeMs(flags) });
}

/** Whom a signer outside has certified is one of the mesh, too (istiod: peer roots of CA and RA). */
async function addExternalRoots(authority: Authority, flags: Flags): Promise<Authority> {
  const external = await readExternalRoots(flags);
  if (external === "") return authority;
  try {
    return { ...authority, roots: mergeRoots(authority.roots, external) };
  } catch (cause: unknown) {
    throw new AuthorityStoreError("the root of the signer outside cannot be used", { cause });
  }
}

/** What a root is like that the mesh makes for itself. */
export function deriveRootOptions(flags: Flags): { readonly rootLifetimeMs: number; readonly rsaBits?: number } {
  const { rootLifetime: rootLifetimeMs, rootRsaBits: rsaBits } = flags;
  return { rootLifetimeMs, ...(rsaBits === 0 ? {} : { rsaBits }) };
}

/** Certificates of our own servers are renewed at every change; those of workloads hold as long as the flags let them. */
export const longestLifeMs = ({ maxWorkloadCertTtl, defaultWorkloadCertTtl }: Flags): number =>
  Math.max(maxWorkloadCertTtl, defaultWorkloadCertTtl);

export interface OwnCertificatesOptions {
  readonly flags: Flags;
  readonly authority: LiveAuthority;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

/**
 * The certificate that servers of this process show: from the files of the flags or those in istiod's place for them, else
 * from the authority, for the names of the Service and those of this machine. Undefined where PILOT_CERT_PROVIDER says that
 * there is none. Rejects where there is none to be had.
 */
export async function createOwnCertificates(options: OwnCertificatesOptions): Promise<ServingCertificates | undefined> {
  const { flags, authority, clock, log, signal } = options;
  const { namespace, revision, customHosts, certProvider } = flags;
  const files = await findTlsFiles(flags);
  if (files !== undefined) return createServingCertificates({ source: { kind: "files", files }, clock, log });
  if (certProvider !== "istiod") {
    if (certProvider !== "none") log.error("nobody can sign the certificate of this control plane", { certProvider });
    return undefined;
  }
  await authority.load(signal);
  const more = customHosts.split(",").flatMap((host) => host.trim() || []);
  const names = listServiceNames(namespace, revision, ["localhost", "127.0.0.1", "::1", ...more]);
  return createServingCertificates({ source: { kind: "authority", authority, names }, clock, log });
}

const tlsPlace = "./var/run/secrets/istiod";
/** Where istiod looks for a certificate that somebody mounted (pkg/config/constants). */
const mounted = { certFile: `${tlsPlace}/tls/tls.crt`, keyFile: `${tlsPlace}/tls/tls.key` };
const mountedRoots = [`${tlsPlace}/tls/ca.crt`, `${tlsPlace}/ca/root-cert.pem`];

async function findTlsFiles({ tlsCertFile, tlsKeyFile, caCertFile }: Flags): Promise<TlsFiles | undefined> {
  if (tlsCertFile !== "") return { certFile: tlsCertFile, keyFile: tlsKeyFile, caFile: caCertFile };
  for (const caFile of mountedRoots) {
    const files = { ...mounted, caFile };
    if (await canReadAll(Object.values(files))) return files;
  }
  return undefined;
}

async function canReadAll(paths: readonly string[]): Promise<boolean> {
  const found = await Promise.allSettled(paths.map((path) => access(path)));
  return found.every(({ status }) => status === "fulfilled");
}
