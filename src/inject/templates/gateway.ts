/** The template `gateway`: a pod whose istio-proxy container (image auto) becomes a gateway. */
import type { PlainObject } from "../../api/plain-value.ts";
import { container } from "../annotation-names.ts";
import { defined, unlessEmpty } from "../pod-fields.ts";
import { canonicalLabels, commonAnnotations } from "./pod-metadata.ts";
import { proxyArguments, proxyImageOf, proxyMetadata, variable } from "./proxy-arguments.ts";
import {
  bootstrapVariables,
  complianceVariables,
  containersVariable,
  cpuLimit,
  identityVariables,
  meshVariables,
  networkVariables,
  placeVariables,
  runtimeVariables,
  settingsVariables,
  workloadVariables,
} from "./proxy-environment.ts";
import { readinessProbe } from "./proxy-probes.ts";
import { buildVolumeMounts, buildVolumes, imagePullSecrets, type VolumeSelection } from "./proxy-volumes.ts";
import type { TemplateData } from "./template-data.ts";

const volumes: VolumeSelection = {
  hasCredentialSocket: true,
  hasRevocations: false,
  hasUserVolumes: false,
  channel: "istio-envoy",
};

/** Lets a proxy that is not root listen on 80 and 443. */
const lowPorts: PlainObject = { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] };

export function buildGatewayOverlay(data: TemplateData): PlainObject {
  return {
    metadata: { labels: canonicalLabels(data), annotations: commonAnnotations(data) },
    spec: defined({
      securityContext: unlessEmpty(data.values.gatewaySecurityContext) ?? lowPorts,
      containers: [buildProxy(data)],
      volumes: buildVolumes(data, volumes),
      imagePullSecrets: unlessEmpty(imagePullSecrets(data)),
    }),
  };
}

function buildProxy(data: TemplateData): PlainObject {
  const { values, ids } = data;
  return defined({
    name: container.proxy,
    image: proxyImageOf(data),
    ports: [{ containerPort: 15090, protocol: "TCP", name: "http-envoy-prom" }],
    args: proxyArguments("router", data),
    lifecycle: unlessEmpty(values.proxy.lifecycle),
    securityContext: { runAsUser: ids.uid, runAsGroup: ids.gid },
    env: buildEnvironment(data),
    imagePullPolicy: values.imagePullPolicy === "" ? undefined : values.imagePullPolicy,
    readinessProbe: readinessProbe(data, 15021, false),
    volumeMounts: buildVolumeMounts(data, volumes),
  });
}

const buildEnvironment = (data: TemplateData): readonly PlainObject[] => [
  ...identityVariables(data),
  cpuLimit,
  ...settingsVariables(data),
  ...runtimeVariables,
  ...complianceVariables(data),
  containersVariable(data),
  ...placeVariables(data),
  variable("ISTIO_META_INTERCEPTION_MODE", data.proxyConfig.interceptionMode ?? "REDIRECT"),
  ...networkVariables(data),
  ...workloadVariables(data),
  ...bootstrapVariables(data),
  ...meshVariables(data),
  ...proxyMetadata(data),
];
