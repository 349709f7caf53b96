/**
 * Where proxies get certificates from: SDS secrets of the workload itself, of files beside the proxy, and of the control
 * plane. Names are those that Istio's agent understands (Istio: pkg/model/sds.go, pilot/pkg/security/model).
 */
import { duration } from "@meltemi/protos";
import type { ConfigSource } from "@meltemi/protos/envoy/config/core/v3";
import type { SdsSecretConfig } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";

const agentCluster = "sds-grpc";
const kubernetesPrefix = "kubernetes://";
const builtinPrefix = "builtin://";
const invalidPrefix = "invalid://";
/** Of an SDS server beside the proxy or in the mesh; where there is none it names a Secret, as without the prefix. */
const externalPrefix = "sds://";
const caSuffix = "-cacert";
/** Names that say what they are; all others are names of Secrets. */
const knownPrefixes = [kubernetesPrefix, "kubernetes-gateway://", "configmap://"];

const agentSource: ConfigSource = {
  api_config_source: {
    api_type: "GRPC",
    transport_api_version: "V3",
    set_node_on_first_message_only: true,
    grpc_services: [{ envoy_grpc: { cluster_name: agentCluster } }],
  },
  resource_api_version: "V3",
};

// Envoy waits for the workload's own identity however long it takes; 0s means for ever.
const identitySource: ConfigSource = { ...agentSource, initial_fetch_timeout: duration(0) };

const controlPlaneSource: ConfigSource = { ads: {}, resource_api_version: "V3" };

/** The certificate of the workload itself. */
export const workloadCertificate: SdsSecretConfig = { name: "default", sds_config: identitySource };

/** The roots of the mesh. */
export const meshRoots: SdsSecretConfig = { name: "ROOTCA", sds_config: identitySource };

/** A certificate and key in files beside the proxy. */
export function buildFileCertificate(certificatePath: string, keyPath: string): SdsSecretConfig {
  return { name: `file-cert:${certificatePath}~${keyPath}`, sds_config: agentSource };
}

/** Roots in a file beside the proxy; "system" stands for those of the operating system. */
export function buildFileRoots(path: string): SdsSecretConfig {
  return { name: `file-root:${path}`, sds_config: agentSource };
}

/** A certificate that the control plane serves under a credential name. */
export function buildCredentialCertificate(credentialName: string): SdsSecretConfig {
  if (credentialName === builtinPrefix) return workloadCertificate;
  return { name: buildCredentialResourceName(credentialName), sds_config: controlPlaneSource };
}

/** The roots that go with a credential name. */
export function buildCredentialRoots(credentialName: string): SdsSecretConfig {
  if (credentialName === builtinPrefix) return meshRoots;
  return { name: buildCredentialResourceName(`${credentialName}${caSuffix}`), sds_config: controlPlaneSource };
}

/** `kubernetes://name`, where the name does not say another kind of credential itself. */
function buildCredentialResourceName(credentialName: string): string {
  const isExternal = credentialName.startsWith(externalPrefix);
  const name = isExternal ? credentialName.slice(externalPrefix.length) : credentialName;
  if (name.startsWith(builtinPrefix)) return "default";
  if (name.startsWith(invalidPrefix)) return invalidPrefix;
  return knownPrefixes.some((prefix) => name.startsWith(prefix)) ? name : `${kubernetesPrefix}${name}`;
}
