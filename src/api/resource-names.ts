/**
 * How the API server calls the kinds: group, versions, plural and the short forms that kubectl takes. Names, storage
 * versions and categories are those of Istio's own CRDs, so that objects of an existing cluster are read as they are.
 */

export interface ResourceNames {
  /** "" for the core group. */
  readonly group: string;
  /** Served versions; the first is the one that is stored and preferred. */
  readonly versions: readonly string[];
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly isNamespaced: boolean;
}

const networking = "networking.istio.io";
const security = "security.istio.io";
const telemetry = "telemetry.istio.io";
const extensions = "extensions.istio.io";

const stable = ["v1", "v1beta1", "v1alpha3"];

function istio(
  group: string,
  versions: readonly string[],
  names: readonly [string, string, ...string[]],
): ResourceNames {
  const [plural, singular, ...shortNames] = names;
  return { group, versions, plural, singular, shortNames, isNamespaced: true };
}

/** Every kind of Istio that has a CRD. */
export const istioResources = {
  VirtualService: istio(networking, stable, ["virtualservices", "virtualservice", "vs"]),
  DestinationRule: istio(networking, stable, ["destinationrules", "destinationrule", "dr"]),
  Gateway: istio(networking, stable, ["gateways", "gateway", "gw"]),
  ServiceEntry: istio(networking, stable, ["serviceentries", "serviceentry", "se"]),
  WorkloadEntry: istio(networking, stable, ["workloadentries", "workloadentry", "we"]),
  WorkloadGroup: istio(networking, stable, ["workloadgroups", "workloadgroup", "wg"]),
  Sidecar: istio(networking, stable, ["sidecars", "sidecar"]),
  EnvoyFilter: istio(networking, ["v1alpha3"], ["envoyfilters", "envoyfilter"]),
  ProxyConfig: istio(networking, ["v1beta1"], ["proxyconfigs", "proxyconfig"]),
  AuthorizationPolicy: istio(security, ["v1", "v1beta1"], ["authorizationpolicies", "authorizationpolicy", "ap"]),
  RequestAuthentication: istio(security, ["v1", "v1beta1"], ["requestauthentications", "requestauthentication", "ra"]),
  PeerAuthentication: istio(security, ["v1", "v1beta1"], ["peerauthentications", "peerauthentication", "pa"]),
  Telemetry: istio(telemetry, ["v1", "v1alpha1"], ["telemetries", "telemetry", "telemetry"]),
  WasmPlugin: istio(extensions, ["v1alpha1"], ["wasmplugins", "wasmplugin"]),
  TrafficExtension: istio(extensions, ["v1alpha1"], ["trafficextensions", "trafficextension"]),
} as const satisfies Readonly<Record<string, ResourceNames>>;

const core = (plural: string, singular: string, isNamespaced = true): ResourceNames => ({
  group: "",
  versions: ["v1"],
  plural,
  singular,
  shortNames: [],
  isNamespaced,
});

/** Kinds of Kubernetes itself that the mesh is made of. */
export const kubeResources = {
  Service: core("services", "service"),
  EndpointSlice: { ...core("endpointslices", "endpointslice"), group: "discovery.k8s.io" },
  Pod: core("pods", "pod"),
  Node: core("nodes", "node", false),
  Namespace: core("namespaces", "namespace", false),
  Secret: core("secrets", "secret"),
  ConfigMap: core("configmaps", "configmap"),
} as const satisfies Readonly<Record<string, ResourceNames>>;

/** "/apis/networking.istio.io/v1" or "/api/v1": where the API server serves a group and version. */
export function groupVersionPath(group: string, version: string): string {
  return group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
}
