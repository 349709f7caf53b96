/** The template `sidecar`: a proxy beside the application, and the capture of its traffic. */
import type { PlainObject } from "../../api/plain-value.ts";
import { annotation, container, label } from "../annotation-names.ts";
import { defined, unlessEmpty } from "../pod-fields.ts";
import { usualProxyId } from "../proxy-ids.ts";
import { cniAnnotations, interceptionMode, statusPort } from "./capture-settings.ts";
import { buildInitContainer } from "./init-container.ts";
import { canonicalLabels, commonAnnotations } from "./pod-metadata.ts";
import { proxyArguments, proxyImageOf } from "./proxy-arguments.ts";
import { sidecarEnvironment } from "./proxy-environment.ts";
import { readinessProbe, startupProbe } from "./proxy-probes.ts";
import { proxyResources } from "./proxy-resources.ts";
import { buildVolumeMounts, buildVolumes, imagePullSecrets, type VolumeSelection } from "./proxy-volumes.ts";
import type { TemplateData } from "./template-data.ts";

const volumes: VolumeSelection = {
  hasCredentialSocket: true,
  hasRevocations: true,
  hasUserVolumes: true,
  channel: "istio-envoy",
};

export function buildSidecarOverlay(data: TemplateData): PlainObject {
  const init = buildInitContainer(data);
  const proxy = buildProxy(data);
  const initContainers = [...(init === undefined ? [] : [init]), ...(data.isNative ? [proxy] : [])];
  return {
    metadata: {
      labels: buildLabels(data),
      annotations: { ...commonAnnotations(data), ...(data.values.cni.isEnabled ? cniAnnotations(data) : {}) },
    },
    spec: defined({
      initContainers: unlessEmpty(initContainers),
      containers: data.isNative ? undefined : [proxy],
      volumes: buildVolumes(data, volumes),
      imagePullSecrets: unlessEmpty(imagePullSecrets(data)),
    }),
  };
}

function buildLabels(data: TemplateData): PlainObject {
  const unlessSaid = (name: string, value: string) => data.labels[name] || value;
  const isTunnelled = data.proxyConfig.proxyMetadata?.["ISTIO_META_ENABLE_HBONE"] === "true";
  return defined({
    [label.tlsMode]: unlessSaid(label.tlsMode, "istio"),
    [label.tunnel]: isTunnelled ? unlessSaid(label.tunnel, "http") : undefined,
    ...canonicalLabels(data),
  });
}

function buildProxy(data: TemplateData): PlainObject {
  const { values, isNative } = data;
  const { outlierLogPath } = values.proxy;
  return defined({
    name: container.proxy,
    image: proxyImageOf(data),
    restartPolicy: isNative ? "Always" : undefined,
    ports: [{ containerPort: 15090, protocol: "TCP", name: "http-envoy-prom" }],
    args: [
      ...proxyArguments("sidecar", data),
      ...(outlierLogPath === "" ? [] : [`--outlierLogPath=${outlierLogPath}`]),
    ],
    lifecycle: buildLifecycle(data),
    env: sidecarEnvironment(data, interceptionMode(data)),
    imagePullPolicy: values.imagePullPolicy === "" ? undefined : values.imagePullPolicy,
    ...buildProbes(data),
    securityContext: buildSecurityContext(data),
    resources: proxyResources(data),
    volumeMounts: buildVolumeMounts(data, volumes),
  });
}

function buildProbes(data: TemplateData): PlainObject {
  if (statusPort(data) === "0") return {};
  return defined({ startupProbe: startupProbe(data), readinessProbe: readinessProbe(data, 15021) });
}

/** Applications wait for the proxy where that is asked for; as an init container it is first anyway. */
export const holdsApplication = ({ proxyConfig, values }: TemplateData): boolean =>
  proxyConfig.holdApplicationUntilProxyStarts === true || values.proxy.holdsApplication;

function buildLifecycle(data: TemplateData): PlainObject | undefined {
  const given = unlessEmpty(data.values.proxy.lifecycle);
  if (given !== undefined) return given;
  if (data.isNative) {
    // A native sidecar gets its signal after the applications are gone; it has to begin to drain when the pod ends.
    const command = ["pilot-agent", "request", `--debug-port=${statusPort(data)}`, "POST", "drain"];
    return { preStop: { exec: { command } } };
  }
  return holdsApplication(data) ? { postStart: { exec: { command: ["pilot-agent", "wait"] } } } : undefined;
}

function buildSecurityContext(data: TemplateData): PlainObject {
  const { values, annotations, ids, proxyConfig } = data;
  const seccompProfile = unlessEmpty(values.proxy.seccompProfile);
  if (proxyConfig.proxyMetadata?.["IPTABLES_TRACE_LOGGING"] === "true") {
    return defined({
      allowPrivilegeEscalation: true,
      capabilities: { add: ["NET_ADMIN"], drop: ["ALL"] },
      privileged: true,
      readOnlyRootFilesystem: true,
      runAsGroup: ids.gid,
      runAsNonRoot: false,
      runAsUser: 0,
      seccompProfile,
    });
  }
  const isTproxy = interceptionMode(data) === "TPROXY";
  const bindsLowPorts = (annotations[annotation.bindsLowPorts] ?? String(values.proxy.bindsLowPorts)) === "true";
  const add = [...(isTproxy ? ["NET_ADMIN"] : []), ...(bindsLowPorts ? ["NET_BIND_SERVICE"] : [])];
  const isRoot = add.length > 0;
  return defined({
    allowPrivilegeEscalation: values.proxy.isPrivileged,
    capabilities: defined({ add: unlessEmpty(add), drop: ["ALL"] }),
    privileged: values.proxy.isPrivileged,
    readOnlyRootFilesystem: true,
    runAsNonRoot: !isRoot,
    runAsUser: isRoot ? 0 : ids.uid,
    runAsGroup: isRoot ? usualProxyId : ids.gid,
    seccompProfile,
  });
}
