/** Service, EndpointSlice and Endpoints as slim records. */
import type { Findings } from "../findings.ts";
import type { Labels, ObjectMeta } from "../object.ts";
import type { FieldReader } from "./fields.ts";
import type { EndpointSliceSpec, KubeEndpoint, KubeServicePort, KubeServiceSpec } from "./types.ts";

const serviceTypes = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] as const;
const transports = ["TCP", "UDP", "SCTP"] as const;

export function convertService(root: FieldReader, findings: Findings): KubeServiceSpec {
  const spec = root.object("spec");
  const type = pick(spec, { name: "type", allowed: serviceTypes, fallback: "ClusterIP" }, findings);
  const clusterIP = emptyToUndefined(spec.text("clusterIP"));
  const listed = spec.texts("clusterIPs");
  const clusterIPs = listed.length > 0 || clusterIP === undefined ? listed : [clusterIP];
  const externalName = emptyToUndefined(spec.text("externalName"));
  if (type === "ExternalName" && externalName === undefined) {
    findings.error([...spec.path, "externalName"], "is required for type ExternalName", "required");
  }
  const ingress = root.object("status").object("loadBalancer").objects("ingress");
  const selector = spec.labels("selector");
  const internalTrafficPolicy = spec.text("internalTrafficPolicy");
  const trafficDistribution = spec.text("trafficDistribution");
  return {
    type,
    ...(clusterIP === undefined ? {} : { clusterIP }),
    clusterIPs: type === "ExternalName" ? [] : clusterIPs.filter((address) => address !== "None" && address !== ""),
    ...(externalName === undefined ? {} : { externalName }),
    externalIPs: spec.texts("externalIPs"),
    loadBalancerAddresses: ingress.flatMap((item) => item.text("ip") ?? item.text("hostname") ?? []),
    selector: selector !== undefined && Object.keys(selector).length > 0 ? selector : undefined,
    ports: spec.objects("ports").flatMap((port) => convertServicePort(port, findings)),
    publishNotReadyAddresses: spec.flag("publishNotReadyAddresses") ?? false,
    ...(internalTrafficPolicy === "Cluster" || internalTrafficPolicy === "Local" ? { internalTrafficPolicy } : {}),
    ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
  };
}

function convertServicePort(port: FieldReader, findings: Findings): readonly KubeServicePort[] {
  const number = port.port("port");
  if (number === undefined || number === 0) {
    // The reader has spoken of every other bad value.
    if (number === 0 || !port.has("port"))
      findings.error([...port.path, "port"], "must be a port from 1 to 65535", "port");
    return [];
  }
  const [targetPort, nodePort, appProtocol] = [
    port.textOrNumber("targetPort"),
    port.port("nodePort"),
    port.text("appProtocol"),
  ];
  return [
    {
      name: port.text("name") ?? "",
      port: number,
      protocol: pick(port, { name: "protocol", allowed: transports, fallback: "TCP" }, findings),
      // 0 and "" stand for the port itself, as in the API server's defaults.
      targetPort: targetPort === undefined || targetPort === 0 || targetPort === "" ? number : targetPort,
      ...(nodePort === undefined || nodePort === 0 ? {} : { nodePort }),
      ...(appProtocol === undefined ? {} : { appProtocol }),
    },
  ];
}

export function convertEndpointSlice(root: FieldReader, meta: ObjectMeta, findings: Findings): EndpointSliceSpec {
  return {
    serviceName: labelOf(meta.labels, "kubernetes.io/service-name") ?? "",
    addressType: pick(root, { name: "addressType", allowed: ["IPv4", "IPv6", "FQDN"], fallback: "IPv4" }, findings),
    ports: root.objects("ports").flatMap(convertEndpointPort),
    endpoints: root.objects("endpoints").map((endpoint) => convertEndpoint(endpoint, meta.namespace)),
  };
}

/** Converts the subsets of a legacy Endpoints object, each to one slice for each family of addresses it has. */
export function convertLegacyEndpoints(
  root: FieldReader,
  meta: ObjectMeta,
): { readonly slices: readonly EndpointSliceSpec[] } {
  const slices = root.objects("subsets").flatMap((subset) => {
    const ports = subset.objects("ports").flatMap(convertEndpointPort);
    const endpoints = [
      ...subset.objects("addresses").map((address) => convertLegacyAddress(address, true, meta.namespace)),
      ...subset.objects("notReadyAddresses").map((address) => convertLegacyAddress(address, false, meta.namespace)),
    ];
    return (["IPv4", "IPv6"] as const).flatMap((addressType) => {
      const family = endpoints.filter((one) => (one.addresses[0] ?? "").includes(":") === (addressType === "IPv6"));
      return family.length === 0 ? [] : [{ serviceName: meta.name, addressType, ports, endpoints: family }];
    });
  });
  return { slices };
}

function convertLegacyAddress(address: FieldReader, ready: boolean, namespace: string): KubeEndpoint {
  const ip = address.text("ip");
  return {
    addresses: ip === undefined ? [] : [ip],
    ready,
    serving: ready,
    terminating: false,
    ...describePlace(address, namespace),
  };
}

function convertEndpointPort(port: FieldReader): EndpointSliceSpec["ports"] {
  // A slice may leave the number out, which means all ports: nothing that a proxy could be given.
  const number = port.port("port");
  if (number === undefined) return [];
  const appProtocol = port.text("appProtocol");
  return [
    {
      name: port.text("name") ?? "",
      port: number,
      protocol: port.text("protocol") ?? "TCP",
      ...(appProtocol === undefined ? {} : { appProtocol }),
    },
  ];
}

function convertEndpoint(endpoint: FieldReader, namespace: string): KubeEndpoint {
  const conditions = endpoint.object("conditions");
  const ready = conditions.flag("ready") ?? true;
  const zone = endpoint.text("zone");
  return {
    addresses: endpoint.texts("addresses"),
    ready,
    serving: conditions.flag("serving") ?? ready,
    terminating: conditions.flag("terminating") ?? false,
    ...describePlace(endpoint, namespace),
    ...(zone === undefined ? {} : { zone }),
  };
}

function describePlace(
  from: FieldReader,
  namespace: string,
): Pick<KubeEndpoint, "hostname" | "nodeName" | "targetRef"> {
  const [hostname, nodeName] = [from.text("hostname"), from.text("nodeName")];
  const ref = from.object("targetRef");
  const targetRef = {
    kind: ref.text("kind") ?? "",
    namespace: ref.text("namespace") ?? namespace,
    name: ref.text("name") ?? "",
  };
  return {
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(from.has("targetRef") ? { targetRef } : {}),
  };
}

function labelOf(labels: Labels, name: string): string | undefined {
  return Object.hasOwn(labels, name) ? labels[name] : undefined;
}

const emptyToUndefined = (text: string | undefined): string | undefined => (text === "" ? undefined : text);

interface Choice<Word extends string> {
  readonly name: string;
  readonly allowed: readonly Word[];
  readonly fallback: Word;
}

function pick<const Word extends string>(from: FieldReader, choice: Choice<Word>, findings: Findings): Word {
  const given = from.text(choice.name);
  const found = choice.allowed.find((word) => word === given);
  if (found === undefined && given !== undefined && given !== "") {
    findings.error([...from.path, choice.name], `must be one of ${choice.allowed.join(", ")}`, "enum");
  }
  return found ?? choice.fallback;
}
