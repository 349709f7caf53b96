/** Environment of the proxy's container, in Istio's order. */
import type { PlainObject, PlainValue } from "../../api/plain-value.ts";
import { sortEntries } from "../../lib/text-order.ts";
import { annotation, label } from "../annotation-names.ts";
import { parseJson } from "../parse-json.ts";
import { defined, field, isObject, listField, nameOf } from "../pod-fields.ts";
import { formatProxyConfig } from "../proxy-settings.ts";
import { otelAttributes } from "./otel-attributes.ts";
import { appContainers } from "./pod-metadata.ts";
import { proxyMetadata, variable } from "./proxy-arguments.ts";
import type { TemplateData } from "./template-data.ts";

const fromField = (name: string, fieldPath: string): PlainObject => ({
  name,
  valueFrom: { fieldRef: { fieldPath } },
});

const fromLimit = (name: string, resource: string): PlainObject => ({
  name,
  valueFrom: { resourceFieldRef: { resource: `limits.${resource}`, divisor: "1" } },
});

/** For probes of applications that listen on localhost alone. */
export const probeDestination = ({ isInboundLocal }: TemplateData): readonly PlainObject[] =>
  isInboundLocal ? [variable("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "true")] : [];

export function identityVariables({ values }: TemplateData): readonly PlainObject[] {
  const revision = values.revision === "" ? "" : `-${values.revision}`;
  const authority = values.caAddress === "" ? `istiod${revision}.${values.istioNamespace}.svc:15012` : values.caAddress;
  return [
    variable("PILOT_CERT_PROVIDER", values.certificateProvider),
    variable("CA_ADDR", authority),
    fromField("POD_NAME", "metadata.name"),
    fromField("POD_NAMESPACE", "metadata.namespace"),
    fromField("INSTANCE_IP", "status.podIP"),
    fromField("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    fromField("HOST_IP", "status.hostIP"),
  ];
}

export const cpuLimit = fromLimit("ISTIO_CPU_LIMIT", "cpu");

export const settingsVariables = (data: TemplateData): readonly PlainObject[] => [
  { name: "PROXY_CONFIG", value: `${formatProxyConfig(data.proxyConfig)}\n` },
  { name: "ISTIO_META_POD_PORTS", value: formatPorts(data.containers) },
];

export const runtimeVariables: readonly PlainObject[] = [
  fromLimit("GOMEMLIMIT", "memory"),
  fromLimit("GOMAXPROCS", "cpu"),
];

export const containersVariable = (data: TemplateData): PlainObject =>
  variable("ISTIO_META_APP_CONTAINERS", appContainers(data).join(","));

export function complianceVariables({ compliancePolicy }: TemplateData): readonly PlainObject[] {
  if (compliancePolicy === "") return [];
  const go = compliancePolicy === "fips-140-3" ? [variable("GODEBUG", "fips140=only")] : [];
  return [variable("COMPLIANCE_POLICY", compliancePolicy), ...go];
}

export const placeVariables = ({ values }: TemplateData): readonly PlainObject[] => [
  variable("ISTIO_META_CLUSTER_ID", values.clusterName === "" ? "Kubernetes" : values.clusterName),
  fromField("ISTIO_META_NODE_NAME", "spec.nodeName"),
];

export const networkVariables = ({ values }: TemplateData): readonly PlainObject[] =>
  values.network === "" ? [] : [variable("ISTIO_META_NETWORK", values.network)];

/** `workload` names it where the pod's label may rename it. */
export function workloadVariables({ owner }: TemplateData, workload = owner.name): readonly PlainObject[] {
  const { apiVersion, kind, name, namespace } = owner;
  const place = `namespaces/${namespace === "" ? "default" : namespace}/${kind.toLowerCase()}s/${name}`;
  return [
    ...(workload === "" ? [] : [variable("ISTIO_META_WORKLOAD_NAME", workload)]),
    ...(apiVersion === "" || name === ""
      ? []
      : [variable("ISTIO_META_OWNER", `kubernetes://apis/${apiVersion}/${place}`)]),
  ];
}

export const bootstrapVariables = ({ annotations }: TemplateData): readonly PlainObject[] =>
  annotations[annotation.bootstrapOverride] === undefined
    ? []
    : [variable("ISTIO_BOOTSTRAP_OVERRIDE", "/etc/istio/custom-bootstrap/custom_bootstrap.json")];

export function meshVariables({ values, mesh }: TemplateData): readonly PlainObject[] {
  const trustDomain = mesh.trustDomain === "" ? values.trustDomain : mesh.trustDomain;
  const meshId = values.meshId === "" ? trustDomain : values.meshId;
  return [
    ...(meshId === "" ? [] : [variable("ISTIO_META_MESH_ID", meshId)]),
    ...(trustDomain === "" ? [] : [variable("TRUST_DOMAIN", trustDomain)]),
  ];
}

export function sidecarEnvironment(data: TemplateData, interceptionMode: string): readonly PlainObject[] {
  const renamed = data.labels[label.workloadName] ?? "";
  return [
    ...probeDestination(data),
    ...identityVariables(data),
    cpuLimit,
    ...settingsVariables(data),
    containersVariable(data),
    ...runtimeVariables,
    ...complianceVariables(data),
    ...placeVariables(data),
    variable("ISTIO_META_INTERCEPTION_MODE", interceptionMode),
    ...networkVariables(data),
    ...workloadVariables(data, renamed === "" ? data.owner.name : renamed),
    ...bootstrapVariables(data),
    ...meshVariables(data),
    ...datadogVariables(data),
    ...otelVariables(data),
    ...proxyMetadata(data),
  ];
}

function datadogVariables({ values, annotations }: TemplateData): readonly PlainObject[] {
  const given = annotations[annotation.datadogEnvironment];
  const parsed = values.proxy.tracer === "datadog" && given !== undefined ? parseJson(given) : undefined;
  if (!isObject(parsed)) return [];
  return sortEntries(Object.entries(parsed)).map(([name, value]) => variable(name, String(value)));
}

function otelVariables(data: TemplateData): readonly PlainObject[] {
  const attributes = otelAttributes(data);
  return attributes === "" ? [] : [variable("OTEL_RESOURCE_ATTRIBUTES", attributes)];
}

const portFields = ["name", "hostPort", "containerPort", "protocol", "hostIP"];

/** A JSON list with a line for each port, as Istio's template writes it. */
function formatPorts(containers: readonly PlainObject[]): string {
  const ports = containers
    .filter((item) => nameOf(item) !== "")
    .flatMap((item) => listField(item, "ports"))
    .map((port) => JSON.stringify(pickFields(port, portFields)));
  return ["[", ...ports.map((port, index) => `    ${index === 0 ? "" : ","}${port}`), "]"].join("\n");
}

function pickFields(object: PlainObject, names: readonly string[]): PlainObject {
  const said = (value: PlainValue | undefined) => (value === "" || value === 0 || value === null ? undefined : value);
  return defined(Object.fromEntries(names.map((name) => [name, said(field(object, name))])));
}
