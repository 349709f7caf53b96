/**
 * Where this proxy's certificate comes from, and how the agent reaches the control plane and the CA, from the settings
 * (pkg/istio-agent/agent.go, pilot/cmd/pilot-agent/options/security.go). Relative paths are those of the injected
 * volumes.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import type { Clock } from "../../../src/lib/clock.ts";
import type { Log } from "../../../src/lib/log.ts";
import { ConfigError } from "./config/proxy-config.ts";
import { readFileIfThere, readPrefixed, type Settings } from "./config/settings.ts";
import { createProvisionedCertificate, createTokenFile } from "./identity/credential-files.ts";
import type { AuthoritySource, FileSource, KeyKind, SecretSourceOptions } from "./identity/secret-source.ts";
import type { ClientCertificate, UpstreamOptions } from "./identity/upstream.ts";

const tokenFile = "./var/run/secrets/tokens/istio-token";
const meshRoots = "./var/run/secrets/istio/root-cert.pem";
/** Certificates of FILE_MOUNTED_CERTS. */
const mountedDirectory = "./etc/certs";
const credentialsDirectory = "./var/run/secrets/workload-spiffe-credentials";

export interface IdentityPorts {
  readonly clock: Clock;
  readonly log: Log;
}

/** How to reach the control plane's discovery service. */
export function buildDiscoveryUpstream(
  settings: Settings,
  ports: IdentityPorts,
  ownCertificate: () => ClientCertificate | undefined,
): UpstreamOptions {
  const { config, variables, environment } = settings;
  return {
    ...buildUpstream(settings),
    address: config.discoveryAddress,
    serverName: findServerName(settings, config.discoveryAddress),
    isPlaintext: !config.hasMutualTls,
    roots: createRootsReader(variables.xdsRoots, findDiscoveryRoots(settings)),
    clientCertificate: findClientCertificate(settings, ports) ?? ownCertificate,
    headers: readPrefixed(environment, "XDS_HEADER_"),
  };
}

/** Where the workload's certificate comes from: files that somebody else renews, or the CA. */
export function findSecretSource(settings: Settings, ports: IdentityPorts): SecretSourceOptions {
  const { variables } = settings;
  if (variables.provCert !== "" && variables.fileMountedCerts) {
    throw new ConfigError("PROV_CERT and FILE_MOUNTED_CERTS exclude each other");
  }
  const provided = fileSource(credentialsDirectory);
  if (Object.values(provided).every((file) => file === "files" || existsSync(file))) return provided;
  return variables.fileMountedCerts ? fileSource(mountedDirectory) : authoritySource(settings, ports);
}

function fileSource(directory: string): FileSource {
  return {
    kind: "files",
    certificateFile: join(directory, "cert-chain.pem"),
    keyFile: join(directory, "key.pem"),
    rootsFile: join(directory, "root-cert.pem"),
  };
}

function authoritySource(settings: Settings, ports: IdentityPorts): AuthoritySource {
  const { variables, config, environment } = settings;
  if (variables.caProvider.startsWith("GoogleCA"))
    throw new ConfigError("CA_PROVIDER: Citadel is the one that there is");
  const address = variables.caAddress === "" ? config.discoveryAddress : variables.caAddress;
  const rootsFile = findAuthorityRoots(settings);
  return {
    kind: "authority",
    upstream: {
      ...buildUpstream(settings),
      address,
      serverName: findServerName(settings, address),
      // A token in plain text would be anybody's; the CA is never called so.
      isPlaintext: false,
      roots: createRootsReader(variables.caRoots, rootsFile),
      clientCertificate: findClientCertificate(settings, ports) ?? (() => undefined),
      headers: readPrefixed(environment, "CA_HEADER_"),
    },
    identity: {
      trustDomain: variables.trustDomain,
      namespace: variables.podNamespace,
      serviceAccount: variables.serviceAccount === "" ? "default" : variables.serviceAccount,
    },
    key: readKeyKind(settings),
    isPkcs8: variables.pkcs8Keys,
    lifetimeMs: variables.secretTtlMs,
    certSigner: variables.certSigner,
    // Roots of a CA elsewhere are not those of the mesh: then the CA's answer names them.
    ...(variables.caRoots === "" ? { rootsFile } : {}),
  };
}

function buildUpstream({ variables }: Settings): Pick<UpstreamOptions, "token" | "clusterId"> {
  return { token: createTokenFile(tokenFile), clusterId: variables.clusterId };
}

/** Certificates that were there before the agent (machines outside Kubernetes). */
function findClientCertificate(
  { variables }: Settings,
  ports: IdentityPorts,
): UpstreamOptions["clientCertificate"] | undefined {
  const { provCert } = variables;
  return provCert === "" ? undefined : createProvisionedCertificate({ directory: provCert, ...ports });
}

/** A tunnel to localhost leads to the usual control plane, whose certificate knows nothing of it. */
function findServerName({ variables }: Settings, address: string): string {
  if (variables.istiodSan !== "") return variables.istiodSan;
  const host = address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return host === "localhost" ? "istiod.istio-system.svc" : host;
}

function findDiscoveryRoots({ variables }: Settings): string {
  if (variables.xdsRoots !== "") return variables.xdsRoots;
  const mounted = join(mountedDirectory, "root-cert.pem");
  if (existsSync(mounted)) return mounted;
  return variables.provCert === "" ? meshRoots : join(variables.provCert, "root-cert.pem");
}

function findAuthorityRoots({ variables }: Settings): string {
  if (variables.caRoots !== "") return variables.caRoots;
  if (variables.pilotCertProvider === "custom") return join(mountedDirectory, "root-cert.pem");
  return variables.provCert === "" ? meshRoots : join(variables.provCert, "root-cert.pem");
}

/** SYSTEM stands for the roots that the system believes; everything else is a file, which may change. */
function createRootsReader(given: string, file: string): () => string {
  if (given === "SYSTEM") return () => getCACertificates("system").join("\n");
  return () => readFileIfThere(file) ?? "";
}

function readKeyKind({ variables }: Settings): KeyKind {
  const isEcdsa = variables.eccAlgorithm !== "" || variables.rsaKeySize === 0;
  if (!isEcdsa) return { kind: "rsa", bits: variables.rsaKeySize };
  if (variables.eccAlgorithm !== "" && variables.eccAlgorithm !== "ECDSA")
    throw new ConfigError("ECC_SIGNATURE_ALGORITHM must be ECDSA");
  switch (variables.eccCurve) {
    case "P256":
    case "P-256":
      return { kind: "ecdsa", curve: "P-256" };
    case "P384":
    case "P-384":
      return { kind: "ecdsa", curve: "P-384" };
    default:
      throw new ConfigError("ECC_CURVE must be P256 or P384");
  }
}
