/** Pages about configuration: the objects that are served, the mesh, its networks. */
import { isIP } from "node:net";
import type { Kind } from "../../api/kinds.ts";
import type { ApiObject } from "../../api/object.ts";
import { type DebugHandler, replyJson, replyText } from "./reply.ts";

/** Kinds of Istio's API, with group and version under which istiod lists them. */
const configKinds = [
  { group: "networking.istio.io", version: "v1", kind: "DestinationRule" },
  { group: "networking.istio.io", version: "v1", kind: "Gateway" },
  { group: "networking.istio.io", version: "v1", kind: "ServiceEntry" },
  { group: "networking.istio.io", version: "v1", kind: "Sidecar" },
  { group: "networking.istio.io", version: "v1", kind: "VirtualService" },
  { group: "networking.istio.io", version: "v1", kind: "WorkloadEntry" },
  { group: "networking.istio.io", version: "v1", kind: "WorkloadGroup" },
  { group: "networking.istio.io", version: "v1beta1", kind: "ProxyConfig" },
  { group: "security.istio.io", version: "v1", kind: "AuthorizationPolicy" },
  { group: "security.istio.io", version: "v1", kind: "PeerAuthentication" },
  { group: "security.istio.io", version: "v1", kind: "RequestAuthentication" },
  { group: "telemetry.istio.io", version: "v1", kind: "Telemetry" },
] as const satisfies readonly { readonly group: string; readonly version: string; readonly kind: Kind }[];

/** All configuration, as Kubernetes would print the objects. */
export const handleConfig: DebugHandler = (request) => {
  const snapshot = request.port.snapshot();
  const objects = configKinds.flatMap(
    ({ kind }): readonly ApiObject<string, unknown>[] => snapshot?.objects(kind) ?? [],
  );
  return replyJson(request, objects.map(formatObject));
};

function formatObject({ kind, apiVersion, meta, spec }: ApiObject<string, unknown>): object {
  const { name, namespace, labels, annotations, ...rest } = meta;
  return {
    kind,
    apiVersion,
    metadata: {
      name,
      ...(namespace === "" ? {} : { namespace }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      ...rest,
    },
    spec,
  };
}

/** Kinds of configuration that are watched. */
export const handleResources: DebugHandler = (request) => replyJson(request, configKinds);

/** The mesh's own settings. */
export const handleMesh: DebugHandler = (request) => replyJson(request, request.port.snapshot()?.mesh ?? {});

/** The gateways into other networks of which the address is known. */
export const handleNetworks: DebugHandler = (request) => {
  const gateways = (request.port.snapshot()?.networkGateways ?? []).filter(({ address }) => isIP(address) !== 0);
  return replyJson(
    request,
    gateways.map(({ network, clusterId, address, port, hbonePort }) => ({
      Network: network,
      Cluster: clusterId,
      Addr: address,
      Port: port,
      HBONEPort: hbonePort,
      ServiceAccount: { Namespace: "", Name: "" },
    })),
  );
};

/** Remote clusters. A mesh that is read from files has none, which istiod answers with 400 as well. */
export const handleClusters: DebugHandler = () =>
  replyText(400, "No remote clusters: this control plane reads its mesh from one source.\n");
