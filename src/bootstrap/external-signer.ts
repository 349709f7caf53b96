/** A signer outside in place of our own authority, as the flags name it. */
import { readFile } from "node:fs/promises";
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import type { CertificateSigner } from "../ca/certificate-signer.ts";
import { createKubernetesSigner } from "../ca/kubernetes-signer.ts";
import type { Flags } from "../config/flags.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";

export interface ExternalSignerOptions {
  readonly flags: Flags;
  readonly client: KubeClient | undefined;
  /** The settings of the mesh as they are now. */
  readonly mesh: () => MeshConfig;
  readonly clock: Clock;
  readonly log: Log;
}

/** Where istiod looks for the root of a signer outside, and where it finds that of the cluster itself. */
const mountedRoots = "./etc/external-ca-cert/root-cert.pem";
const clusterRoots = "./var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/** Undefined where our own authority signs. Throws where the flags name a kind of signer that does not exist. */
export function createExternalSigner(options: ExternalSignerOptions): CertificateSigner | undefined {
  const { flags, client, clock, log } = options;
  if (flags.externalCa === "") return undefined;
  if (flags.externalCa !== "ISTIOD_RA_KUBERNETES_API")
    throw new Error(`EXTERNAL_CA: ${JSON.stringify(flags.externalCa)} is not ISTIOD_RA_KUBERNETES_API`);
  if (client === undefined) throw new Error("EXTERNAL_CA needs a cluster, and the mesh is read from files");
  return createKubernetesSigner({
    client,
    signerName: flags.kubernetesSigner,
    signerDomain: flags.certSignerDomain,
    findRoots: (signerName) => findRoots(signerName, options),
    clock,
    log,
  });
}

/** PEM of the roots of a signer outside that lie in files: also who it certified may call. "" where there are none. */
export async function readExternalRoots({ externalCa, certSignerDomain }: Flags): Promise<string> {
  if (externalCa === "") return "";
  const ofCluster = certSignerDomain === "" ? await readText(clusterRoots) : undefined;
  return (await readText(mountedRoots)) ?? ofCluster ?? "";
}

/** What is mounted, what the mesh's settings say, the cluster's own where workloads choose no signer. */
async function findRoots(signerName: string, { flags, mesh }: ExternalSignerOptions): Promise<string | undefined> {
  const file = await readText(mountedRoots);
  if (file !== undefined) return file;
  const configured = listConfigured(mesh(), signerName);
  if (configured !== "") return configured;
  return flags.certSignerDomain === "" ? await readText(clusterRoots) : undefined;
}

/** PEM of the certificates that the mesh's settings give to a signer; "" for none. */
function listConfigured({ caCertificates = [] }: MeshConfig, signerName: string): string {
  return caCertificates
    .filter(({ certSigners = [] }) => certSigners.includes(signerName))
    .map(({ pem = "" }) => `${pem.trimEnd()}\n`)
    .join("")
    .trimStart();
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}
