/** Service, EndpointSlice and Endpoints as slim records. */
import type { Findings, Path } from "../findings.ts";
import type { Labels, ObjectMeta } from "../object.ts";
import { checkUnique } from "../rules.ts";
import type { FieldReader } from "./fields.ts";
import type { EndpointSliceSpec, KubeEndpoint, KubeServicePort, KubeServiceSpec } from "./types.ts";

const serviceTypes = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] as const;
const transports = ["TCP", "UDP", "SCTP"] as const;

/** Name of a container's port: 15 characters at most, of which one is a letter (Kubernetes: IsValidPortName). */
const portName = /^(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/i;

export function convertService(root: FieldReader, meta: ObjectMeta, findings: Findings): KubeServiceSpec {
  const spec = root.object("spec");
  // The name is the first label of the host.
  if (meta.name.includes(".")) findings.error(["metadata", "name"], "of a Service must not have dots", "name");
  const type = pick(spec, { name: "type", allowed: serviceTypes, fallback: "ClusterIP" }, findings);
  const isHeadless = spec.text("clusterIP") === "None" || spec.texts("clusterIPs")[0] === "None";
  const clusterIP = isHeadless ? "None" : spec.address("clusterIP");
  const listed = isHeadless ? [] : spec.addresses("clusterIPs");
  const clusterIPs = listed.length > 0 || clusterIP === undefined || isHeadless ? listed : [clusterIP];
  const externalName = emptyToUndefined(spec.text("externalName"));
  if (type === "ExternalName" && externalName === undefined) {
    findings.error([...spec.path, "externalName"], "is required for type ExternalName", "required");
  }
  const ingress = root.object("status").object("loadBalancer").objects("ingress");
  const selector = spec.labels("selector");
  const internalTrafficPolicy = spec.text("internalTrafficPolicy");
  const trafficDistribution = spec.text("trafficDistribution");
  const ports = spec.objects("ports").flatMap((port) => convertServicePort(port, findings));
  checkServicePorts(ports, [...spec.path, "ports"], findings);
  return {
    type,
    ...(clusterIP === undefined ? {} : { clusterIP }),
    clusterIPs: type === "ExternalName" ? [] : clusterIPs,
    ...(externalName === undefined ? {} : { externalName }),
    externalIPs: spec.addresses("externalIPs"),
    loadBalancerAddresses: ingress.flatMap((item) => item.address("ip") ?? item.text("hostname") ?? []),
    selector: selector !== undefined && Object.keys(selector).length > 0 ? selector : undefined,
    ports,
    publishNotReadyAddresses: spec.flag("publishNotReadyAddresses") ?? false,
    ...(internalTrafficPolicy === "Cluster" || internalTrafficPolicy === "Local" ? { internalTrafficPolicy } : {}),
    ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
  };
}

function convertServicePort(port: FieldReader, findings: Findings): readonly KubeServicePort[] {
  const number = port.port("port");
  if (number === undefined) {
    // The reader has spoken of every other bad value.
    if (!port.has("port")) findings.error([...port.path, "port"], "must be a port from 1 to 65535", "port");
    return [];
  }
  const [nodePort, appProtocol] = [port.portOrZero("nodePort"), port.text("appProtocol")];
  return [
    {
      name: port.text("name") ?? "",
      port: number,
      protocol: pick(port, { name: "protocol", allowed: transports, fallback: "TCP" }, findings),
      targetPort: readTargetPort(port, findings) ?? number,
      ...(nodePort === undefined ? {} : { nodePort }),
      ...(appProtocol === undefined ? {} : { appProtocol }),
    },
  ];
}

/** A number or a name; undefined where the port itself is meant: 0 and "" stand for it, as in the API server's defaults. */
function readTargetPort(port: FieldReader, findings: Findings): number | string | undefined {
  const given = port.textOrNumber("targetPort");
  if (given === "") return undefined;
  if (typeof given !== "string") return port.portOrZero("targetPort");
  if (portName.test(given)) return given;
  findings.error(
    [...port.path, "targetPort"],
    "must be a port from 1 to 65535 or the name of a container's port",
    "port",
  );
  return undefined;
}

/** Names and numbers tell the ports of a service apart, so the API server takes each once, and no nameless one of several. */
function checkServicePorts(ports: readonly KubeServicePort[], path: Path, findings: Findings): void {
  const at = { path: (index: number) => [...path, index], findings };
  checkUnique(
    ports.map(({ name }) => name),
    "port name",
    at,
  );
  checkUnique(
    ports.map(({ port, protocol }) => `${port}/${protocol}`),
    "port",
    at,
  );
}

export function convertEndpointSlice(root: FieldReader, meta: ObjectMeta, findings: Findings): EndpointSliceSpec {
  const addressType = pick(
    root,
    { name: "addressType", allowed: ["IPv4", "IPv6", "FQDN"], fallback: "IPv4" },
    findings,
  );
  return {
    serviceName: labelOf(meta.labels, "kubernetes.io/service-name") ?? "",
    addressType,
    ports: root.objects("ports").flatMap(convertEndpointPort),
    endpoints: root.objects("endpoints").map((endpoint) => convertEndpoint(endpoint, addressType, meta.namespace)),
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
  const ip = address.address("ip");
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

function convertEndpoint(
  endpoint: FieldReader,
  addressType: EndpointSliceSpec["addressType"],
  namespace: string,
): KubeEndpoint {
  const conditions = endpoint.object("conditions");
  const ready = conditions.flag("ready") ?? true;
  const zone = endpoint.text("zone");
  return {
    addresses: addressType === "FQDN" ? endpoint.texts("addresses") : endpoint.addresses("addresses"),
    ready,
    serving: conditions.flag("serving") ?? true,
    // Of an endpoint that is not ready Istio takes silence for "is going away": it is of no use to anybody either way.
    terminating: conditions.flag("terminating") ?? !ready,
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
