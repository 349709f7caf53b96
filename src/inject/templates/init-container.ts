/** The container that redirects traffic to the proxy, or that checks that the CNI plugin did. */
import type { PlainObject } from "../../api/plain-value.ts";
import { annotation, container } from "../annotation-names.ts";
import { defined, unlessEmpty } from "../pod-fields.ts";
import { usualProxyId } from "../proxy-ids.ts";
import { type CaptureSettings, deriveCapture } from "./capture-settings.ts";
import { agentLogArgument, proxyMetadata } from "./proxy-arguments.ts";
import { proxyResources } from "./proxy-resources.ts";
import type { TemplateData } from "./template-data.ts";

/** Envoy's Prometheus and readiness ports: their traffic never passes through the proxy. */
const proxyPorts = "15090,15021";

/** Undefined where no traffic is captured. */
export function buildInitContainer(data: TemplateData): PlainObject | undefined {
  const capture = deriveCapture(data);
  if (capture.mode === "NONE") return undefined;
  const { values, annotations, initImage } = data;
  const image = annotations[annotation.proxyImage] ?? values.proxyInit.image;
  return defined({
    name: values.cni.isEnabled ? container.validation : container.init,
    image: image.includes("/") ? image : initImage,
    args: buildArguments(data, capture),
    imagePullPolicy: values.imagePullPolicy === "" ? undefined : values.imagePullPolicy,
    env: unlessEmpty(proxyMetadata(data)),
    resources: proxyResources(data),
    securityContext: buildSecurityContext(data, capture),
  });
}

function buildArguments(data: TemplateData, capture: CaptureSettings): readonly string[] {
  const { mesh, ids, values } = data;
  const excluded = capture.excludeInboundPorts;
  const given = (name: string, value: string | undefined) => (value === undefined ? [] : [name, value]);
  return [
    "istio-iptables",
    ...["-p", String(mesh.proxyListenPort || 15001)],
    ...["-z", String(mesh.proxyInboundListenPort || 15006)],
    ...["-u", String(capture.mode === "TPROXY" ? usualProxyId : ids.uid)],
    ...["-m", capture.mode],
    ...["-i", capture.includeIpRanges],
    ...["-x", capture.excludeIpRanges],
    ...["-b", capture.includeInboundPorts],
    ...["-d", excluded === "" ? proxyPorts : `${proxyPorts},${excluded}`],
    ...given("-q", capture.includeOutboundPorts),
    ...given("-o", capture.excludeOutboundPorts),
    ...given("-k", capture.virtualInterfaces),
    ...given("-c", capture.excludeInterfaces),
    agentLogArgument(data),
    ...(values.logAsJson ? ["--log_as_json"] : []),
    ...modeArguments(data),
    ...(values.nativeNftables ? ["--native-nftables"] : []),
  ];
}

function modeArguments({ values }: TemplateData): readonly string[] {
  if (values.cni.isEnabled) return ["--run-validation", "--skip-rule-apply"];
  return values.proxyInit.forceApplyIptables ? ["--force-apply"] : [];
}

function buildSecurityContext({ values, ids }: TemplateData, { mode }: CaptureSettings): PlainObject {
  const common = {
    allowPrivilegeEscalation: values.proxy.isPrivileged,
    privileged: values.proxy.isPrivileged,
    seccompProfile: unlessEmpty(values.proxy.seccompProfile),
  };
  if (!values.cni.isEnabled) {
    return defined({
      ...common,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
      readOnlyRootFilesystem: false,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
    });
  }
  const isTproxy = mode === "TPROXY";
  return defined({
    ...common,
    capabilities: { drop: ["ALL"] },
    readOnlyRootFilesystem: true,
    runAsGroup: isTproxy ? usualProxyId : ids.gid,
    runAsUser: isTproxy ? usualProxyId : ids.uid,
    runAsNonRoot: true,
  });
}
