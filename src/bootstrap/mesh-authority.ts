/** The certificate authority of this process, and the certificates of its servers. */
import { createMemoryAuthorityStore, readAuthority } from "../ca/authority-files.ts";
import { type AuthorityStore, createAuthorityStore } from "../ca/authority-store.ts";
import { createLiveAuthority, type LiveAuthority } from "../ca/live-authority.ts";
import { createServingCertificates, listServiceNames, type ServingCertificates } from "../ca/serving-certificates.ts";
import type { Flags } from "../config/flags.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";

export interface MeshAuthorityOptions {
  readonly flags: Flags;
  /** Undefined where the mesh is read from files. */
  readonly client: KubeClient | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

const tenYearsMs = 3650 * 24 * 3_600_000;

/** What an operator put into ROOT_CA_DIR comes first, then what the cluster keeps; without one it lives in memory. */
export function createMeshAuthority({ flags, client, clock, log }: MeshAuthorityOptions): LiveAuthority {
  const { namespace, domain: organization } = flags;
  const below: AuthorityStore =
    client === undefined
      ? createMemoryAuthorityStore({ organization, clock, rootLifetimeMs: tenYearsMs })
      : createAuthorityStore({ client, namespace, organization, clock, log });
  const store: AuthorityStore = {
    async load(signal) {
      return (await readAuthority(flags.rootCaDir, clock.now())) ?? below.load(signal);
    },
  };
  return createLiveAuthority({ store, clock, log });
}

export interface OwnCertificatesOptions {
  readonly flags: Flags;
  readonly authority: LiveAuthority;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

/**
 * The certificate that servers of this process show: from the files of the flags, else from the authority, for the names
 * of the Service and those of this machine. Rejects where there is none to be had.
 */
export async function createOwnCertificates(options: OwnCertificatesOptions): Promise<ServingCertificates> {
  const { flags, authority, clock, log, signal } = options;
  const { tlsCertFile, tlsKeyFile, caCertFile, namespace, revision, customHosts } = flags;
  if (tlsCertFile !== "") {
    const files = { certFile: tlsCertFile, keyFile: tlsKeyFile, caFile: caCertFile };
    return createServingCertificates({ source: { kind: "files", files }, clock, log });
  }
  await authority.load(signal);
  const more = customHosts.split(",").flatMap((host) => host.trim() || []);
  const names = listServiceNames(namespace, revision, ["localhost", "127.0.0.1", "::1", ...more]);
  return createServingCertificates({ source: { kind: "authority", authority, names }, clock, log });
}
