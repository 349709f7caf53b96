/** Checks of annotations before anything is made of them: Istio's list (pkg/kube/inject/validate.go), and every other one whose value gets into the pod. */
import type { Findings } from "../api/findings.ts";
import type { Labels } from "../api/object.ts";
import { annotation } from "./annotation-names.ts";
import {
  type AnnotationRule,
  allOr,
  isConfigMapName,
  isCount,
  isFlag,
  isInterfaceList,
  isObjectMap,
  isOneLine,
  isPort,
  isPortList,
  isQuantityText,
  isRangeList,
  isValueMap,
  matching,
  oneOfWords,
} from "./annotation-rules.ts";

const isLogLevel = matching(/^[\w.:, -]*$/, "must be log levels such as warning or misc:error,http:debug");

const rules: ReadonlyMap<string, AnnotationRule> = new Map<string, AnnotationRule>([
  [annotation.interceptionMode, oneOfWords("REDIRECT", "TPROXY", "NONE")],
  [annotation.statusPort, isPort],
  [annotation.readinessInitialDelay, isCount],
  [annotation.readinessPeriod, isCount],
  [annotation.readinessFailures, isCount],
  [annotation.includeOutboundIpRanges, allOr(isRangeList)],
  [annotation.excludeOutboundIpRanges, isRangeList],
  [annotation.includeInboundPorts, allOr(isPortList)],
  [annotation.excludeInboundPorts, isPortList],
  [annotation.includeOutboundPorts, isPortList],
  [annotation.excludeOutboundPorts, isPortList],
  [annotation.excludeInterfaces, isInterfaceList],
  [annotation.kubevirtInterfaces, isInterfaceList],
  [annotation.virtualInterfaces, isInterfaceList],
  [annotation.mergeMetrics, isFlag],
  [annotation.proxyCpu, isQuantityText],
  [annotation.proxyMemory, isQuantityText],
  [annotation.proxyCpuLimit, isQuantityText],
  [annotation.proxyMemoryLimit, isQuantityText],
  [annotation.proxyImage, matching(/^[\w.\-/:@]*$/, "must be the name of an image")],
  [annotation.proxyImageType, matching(/^[\w.-]*$/, "must be the end of an image's tag, such as distroless")],
  [annotation.logLevel, isLogLevel],
  [annotation.componentLogLevel, isLogLevel],
  [annotation.agentLogLevel, isLogLevel],
  [annotation.bootstrapOverride, isConfigMapName],
  [annotation.userVolume, isObjectMap],
  [annotation.userVolumeMount, isObjectMap],
  [annotation.bindsLowPorts, isFlag],
  [annotation.nativeSidecar, isFlag],
  [annotation.datadogEnvironment, isValueMap],
  [annotation.otelNamespace, isOneLine],
  [annotation.otelVersion, isOneLine],
  [annotation.otelInstance, isOneLine],
  [annotation.networks, matching(/^[^\0]*$/, "must not contain null characters")],
]);

/** Longest part of a value that a message repeats. */
const longestQuote = 80;

/** Reports annotations that cannot be what they are meant to be. proxy.istio.io/config is checked where it is read. */
export function checkInjectionAnnotations(annotations: Labels, findings: Findings): void {
  for (const [name, rule] of rules) {
    const text = annotations[name];
    const problem = text === undefined ? undefined : rule(text);
    if (text === undefined || problem === undefined) continue;
    const quoted = JSON.stringify(text.length > longestQuote ? `${text.slice(0, longestQuote)}…` : text);
    findings.error(["metadata", "annotations", name], `${problem}, not ${quoted}`, "annotation");
  }
}
