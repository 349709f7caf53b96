/** Labels of workloads that the mesh itself reads or adds. */
import type { Labels } from "../api/object.ts";
import { type Locality, parseLocality, unknownLocality } from "./endpoint.ts";

export const regionLabel = "topology.kubernetes.io/region";
export const zoneLabel = "topology.kubernetes.io/zone";
export const subzoneLabel = "topology.istio.io/subzone";
export const networkLabel = "topology.istio.io/network";
export const tlsModeLabel = "security.istio.io/tlsMode";
const clusterLabel = "topology.istio.io/cluster";
const hostnameLabel = "kubernetes.io/hostname";

// The newer one counts where both are there.
const localityLabels = ["topology.istio.io/locality", "istio-locality"] as const;

/** The locality that a label states, "r1.z1.s1" because labels take no slash; undefined where there is none. */
export function findStatedLocality(labels: Labels): Locality | undefined {
  const stated = localityLabels.map((name) => labels[name]).find((value) => value !== undefined);
  if (stated === undefined || stated === "") return undefined;
  // A value with a slash can only come from an annotation-like source: dots then belong to the names.
  return parseLocality(stated.includes("/") ? stated : stated.replaceAll(".", "/"));
}

/** The locality of a workload entry: its field ("r1/z1/s1"), else the label that states one, else the unknown one. */
export function deriveStatedLocality(field: string | undefined, labels: Labels): Locality {
  return field ? parseLocality(field) : (findStatedLocality(labels) ?? unknownLocality);
}

/** The locality that labels of a place state; undefined where there is none of them. */
export function findLabelledLocality(labels: Labels): Locality | undefined {
  const [region, zone, subzone] = [labels[regionLabel], labels[zoneLabel], labels[subzoneLabel]];
  if (region === undefined && zone === undefined && subzone === undefined) return undefined;
  return { region: region ?? "", zone: zone ?? "", subzone: subzone ?? "" };
}

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
  put(hostnameLabel, place.nodeName);
  return addNetworkLabel(added, place.network);
}

/** A label of the workload's own wins over what follows from where it is. */
export function addNetworkLabel(labels: Labels, network: string): Labels {
  if (network === "" || (labels[networkLabel] ?? "") !== "") return labels;
  return { ...labels, [networkLabel]: network };
}
