/** The template `grpc-agent`: an agent without Envoy, for applications that speak xDS themselves through gRPC. */
import type { PlainObject } from "../../api/plain-value.ts";
import { annotation, container } from "../annotation-names.ts";
import { defined, nameOf, unlessEmpty } from "../pod-fields.ts";
import { statusPort } from "./capture-settings.ts";
import { canonicalLabels, commonAnnotations } from "./pod-metadata.ts";
import { proxyArguments, proxyImageOf, proxyMetadata, variable } from "./proxy-arguments.ts";
import {
  containersVariable,
  identityVariables,
  meshVariables,
  networkVariables,
  placeVariables,
  probeDestination,
  settingsVariables,
  workloadVariables,
} from "./proxy-environment.ts";
import { readinessProbe } from "./proxy-probes.ts";
import { proxyResources } from "./proxy-resources.ts";
import {
  buildVolumeMounts,
  buildVolumes,
  certificateMount,
  imagePullSecrets,
  type VolumeSelection,
} from "./proxy-volumes.ts";
import type { TemplateData } from "./template-data.ts";

const volumes: VolumeSelection = {
  hasCredentialSocket: false,
  hasRevocations: false,
  hasUserVolumes: true,
  channel: "istio-xds",
};

const readinessPort = 15020;

export function buildGrpcAgentOverlay(data: TemplateData): PlainObject {
  const applications = data.containers.filter((item) => nameOf(item) !== container.proxy);
  return {
    metadata: {
      labels: canonicalLabels(data),
      // Nothing is captured, so probes reach the application as they are.
      annotations: { ...commonAnnotations(data), [annotation.rewriteProbes]: "false" },
    },
    spec: defined({
      containers: [buildAgent(data), ...applications.map((item) => buildApplication(data, nameOf(item)))],
      volumes: buildVolumes(data, volumes),
      imagePullSecrets: unlessEmpty(imagePullSecrets(data)),
    }),
  };
}

function buildAgent(data: TemplateData): PlainObject {
  const { values } = data;
  const command = ["pilot-agent", "wait", `--url=http://localhost:${readinessPort}/healthz/ready`];
  return defined({
    name: container.proxy,
    image: proxyImageOf(data),
    ports: [{ containerPort: readinessPort, protocol: "TCP", name: "mesh-metrics" }],
    args: proxyArguments("sidecar", data),
    lifecycle: { postStart: { exec: { command } } },
    env: buildEnvironment(data),
    imagePullPolicy: values.imagePullPolicy === "" ? undefined : values.imagePullPolicy,
    readinessProbe: statusPort(data) === "0" ? undefined : readinessProbe(data, readinessPort),
    resources: unlessEmpty(proxyResources(data)),
    volumeMounts: buildVolumeMounts(data, volumes),
  });
}

const buildEnvironment = (data: TemplateData): readonly PlainObject[] => [
  variable("ISTIO_META_GENERATOR", "grpc"),
  variable("OUTPUT_CERTS", "/var/lib/istio/data"),
  ...probeDestination(data),
  ...identityVariables(data),
  ...settingsVariables(data),
  containersVariable(data),
  ...placeVariables(data),
  ...networkVariables(data),
  ...workloadVariables(data),
  ...meshVariables(data),
  ...proxyMetadata(data),
  // Names are resolved by xDS, so no address has to be.
  variable("ISTIO_META_DNS_CAPTURE", "false"),
  variable("DISABLE_ENVOY", "true"),
];

const buildApplication = (data: TemplateData, name: string): PlainObject => ({
  name,
  env: [
    variable("GRPC_XDS_EXPERIMENTAL_SECURITY_SUPPORT", "true"),
    variable("GRPC_XDS_BOOTSTRAP", "/etc/istio/proxy/grpc-bootstrap.json"),
  ],
  volumeMounts: [
    { mountPath: "/var/lib/istio/data", name: "istio-data" },
    { mountPath: "/etc/istio/proxy", name: "istio-xds" },
    certificateMount(data),
  ],
});
