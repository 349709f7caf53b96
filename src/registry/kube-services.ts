import type { KubeService } from "../api/kubernetes/types.ts";
import { type Labels, refOf } from "../api/object.ts";
import { parseExportTo } from "../model/export-to.ts";
import type { Resolution, Service, ServicePort } from "../model/service.ts";
import { derivePortProtocol } from "./port-protocol.ts";
import { deriveTrafficDistribution } from "./traffic-distribution.ts";

/** What the conversion of services reads besides the objects. */
export interface ServiceDefaults {
  /** Domain of the cluster, such as "cluster.local". */
  readonly domain: string;
  readonly trustDomain: string;
  /** MeshConfig.defaultServiceExportTo */
  readonly defaultExportTo: readonly string[];
  /** What annotations of namespaces say of traffic distribution, by namespace. */
  readonly trafficDistributions: Labels;
}

const exportToAnnotation = "networking.istio.io/exportTo";
const canonicalAccountsAnnotation = "alpha.istio.io/canonical-serviceaccounts";
const kubernetesAccountsAnnotation = "alpha.istio.io/kubernetes-serviceaccounts";

/** Full host name of a Kubernetes service. */
export function formatKubeHostname(name: string, namespace: string, domain: string): string {
  return `${name}.${namespace}.svc.${domain}`;
}

/** Converts a Kubernetes service to the mesh's (Istio: pilot/pkg/serviceregistry/kube/conversion.go). */
export function convertKubeService(object: KubeService, defaults: ServiceDefaults): Service {
  const { meta, spec } = object;
  const isExternalName = spec.type === "ExternalName";
  // An address that was never allocated (objects from files) does not make a service headless: only "None" does.
  const isHeadless = !isExternalName && spec.clusterIP === "None";
  const trafficDistribution = deriveTrafficDistribution({
    field: spec.trafficDistribution,
    annotations: meta.annotations,
    ofNamespace: defaults.trafficDistributions[meta.namespace],
  });
  return {
    hostname: formatKubeHostname(meta.name, meta.namespace, defaults.domain),
    name: meta.name,
    namespace: meta.namespace,
    registry: "Kubernetes",
    ports: spec.ports.map(
      (port): ServicePort => ({
        name: port.name,
        number: port.port,
        protocol: derivePortProtocol(port),
        targetPort: port.targetPort,
      }),
    ),
    addresses: isHeadless || isExternalName ? [] : spec.clusterIPs,
    resolution: deriveResolution(isExternalName, isHeadless),
    isHeadless,
    meshExternal: isExternalName,
    exportTo: parseExportTo((meta.annotations[exportToAnnotation] ?? "").split(","), defaults.defaultExportTo),
    labels: meta.labels,
    selector: spec.selector,
    ...(meta.creationTimestamp !== undefined && { creationTimestamp: meta.creationTimestamp }),
    ...(meta.resourceVersion !== undefined && { resourceVersion: meta.resourceVersion }),
    ...(isExternalName && spec.externalName !== undefined && { externalName: spec.externalName }),
    aliases: [],
    subjectAltNames: listAccounts(object, defaults.trustDomain),
    publishNotReadyAddresses: spec.publishNotReadyAddresses,
    nodeLocal: spec.internalTrafficPolicy === "Local",
    ...(trafficDistribution !== "Any" && { trafficDistribution }),
    externalAddresses: [...spec.externalIPs, ...spec.loadBalancerAddresses],
    object: refOf(object),
  };
}

function deriveResolution(isExternalName: boolean, isHeadless: boolean): Resolution {
  if (isExternalName) return "alias";
  return isHeadless ? "passthrough" : "clientSideLb";
}

// Accounts that run a service outside the mesh's knowledge: whole identities, or names of accounts of its namespace.
function listAccounts({ meta }: KubeService, trustDomain: string): readonly string[] {
  const list = (annotation: string): readonly string[] =>
    (meta.annotations[annotation] ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "");
  return [
    ...list(canonicalAccountsAnnotation),
    ...list(kubernetesAccountsAnnotation).map((name) => `spiffe://${trustDomain}/ns/${meta.namespace}/sa/${name}`),
  ];
}
