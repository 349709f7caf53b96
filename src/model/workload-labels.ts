/** Labels of workloads that the mesh itself reads or adds. */
import type { Labels } from "../api/object.ts";
import type { Locality } from "./endpoint.ts";

export const regionLabel = "topology.kubernetes.io/region";
export const zoneLabel = "topology.kubernetes.io/zone";
export const subzoneLabel = "topology.istio.io/subzone";
export const networkLabel = "topology.istio.io/network";
export const tlsModeLabel = "security.istio.io/tlsMode";
const clusterLabel = "topology.istio.io/cluster";
const hostnameLabel = "kubernetes.io/hostname";

/** Where an endpoint is, for labels that subsets and failover priorities may select by. */
interface Place {
  readonly locality: Locality;
  readonly clusterId: string;
  readonly network: string;
  readonly nodeName: string;
}

/** Labels with the place added (Istio: pilot/pkg/serviceregistry/util/label); empty parts add nothing. */
export function addPlaceLabels(labels: Labels, place: Place): Labels {
  const added: Record<string, string> = { ...labels };
  const put = (name: string, value: string): void => {
    if (value !== "") added[name] = value;
  };
  put(regionLabel, place.locality.region);
  put(zoneLabel, place.locality.zone);
  put(subzoneLabel, place.locality.subzone);
  put(clusterLabel, place.clusterId);
  put(networkLabel, place.network);
  put(hostnameLabel, place.nodeName);
  return added;
}
