/**
 * The key `values` of the injector's ConfigMap: what Istio's chart was installed with, as far as injection reads it. A
 * value that is absent or null is what the chart has by default; other values of the chart are read past.
 */
import type { Findings, Path } from "../api/findings.ts";
import { describeType, type PlainObject, type PlainValue } from "../api/plain-value.ts";
import { field, isList, isObject } from "./pod-fields.ts";

export interface InjectionValues {
  readonly hub: string;
  readonly tag: string;
  /** Suffix of the tag, such as "distroless"; "" for none. */
  readonly variant: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly string[];
  readonly logAsJson: boolean;
  readonly logLevel: string;
  readonly istioNamespace: string;
  readonly caAddress: string;
  readonly caName: string;
  readonly certificateProvider: string;
  readonly meshId: string;
  readonly trustDomain: string;
  readonly mountMtlsCerts: boolean;
  readonly clusterName: string;
  readonly network: string;
  readonly nativeNftables: boolean;
  readonly tokenAudience: string;
  readonly stsPort: number;
  readonly trustBundleName: string;
  /** Revision of the control plane that certificates come from. */
  readonly revision: string;
  readonly proxy: ProxyValues;
  readonly proxyInit: { readonly image: string; readonly forceApplyIptables: boolean };
  readonly cni: { readonly isEnabled: boolean; readonly provider: string };
  readonly hasClusterTrustBundles: boolean;
  readonly crlConfigMap: string;
  readonly rewritesProbes: boolean;
  readonly gatewaySecurityContext: PlainObject;
  /** All of it, for placeholders of custom templates. */
  readonly raw: PlainObject;
}

export interface ProxyValues {
  readonly image: string;
  readonly clusterDomain: string;
  readonly logLevel: string;
  readonly componentLogLevel: string;
  readonly outlierLogPath: string;
  readonly includeInboundPorts: string;
  readonly excludeInboundPorts: string;
  readonly includeOutboundPorts: string;
  readonly excludeOutboundPorts: string;
  readonly includeIpRanges: string;
  readonly excludeIpRanges: string;
  readonly isPrivileged: boolean;
  readonly seccompProfile: PlainObject;
  readonly lifecycle: PlainObject;
  readonly resources: PlainObject;
  readonly readinessInitialDelaySeconds: number;
  readonly readinessPeriodSeconds: number;
  readonly readinessFailureThreshold: number;
  readonly startupProbe: { readonly isEnabled: boolean; readonly failureThreshold: number };
  readonly statusPort: number;
  readonly tracer: string;
  readonly holdsApplication: boolean;
  readonly bindsLowPorts: boolean;
}

/** Reads one kind of value at a place; says what is wrong with another kind and takes the chart's default. */
interface Reader {
  text(place: string, byDefault: string): string;
  flag(place: string, byDefault: boolean): boolean;
  count(place: string, byDefault: number): number;
  object(place: string): PlainObject;
  texts(place: string): readonly string[];
}

export function readInjectionValues(raw: PlainObject, findings: Findings): InjectionValues {
  const read = createReader(raw, findings);
  return {
    hub: read.text("global.hub", "registry.istio.io/release"),
    tag: read.text("global.tag", "latest"),
    variant: read.text("global.variant", ""),
    imagePullPolicy: read.text("global.imagePullPolicy", ""),
    imagePullSecrets: read.texts("global.imagePullSecrets"),
    logAsJson: read.flag("global.logAsJson", false),
    logLevel: read.text("global.logging.level", "default:info"),
    istioNamespace: read.text("global.istioNamespace", "istio-system"),
    caAddress: read.text("global.caAddress", ""),
    caName: read.text("global.caName", ""),
    certificateProvider: read.text("global.pilotCertProvider", "istiod"),
    meshId: read.text("global.meshID", ""),
    trustDomain: read.text("global.trustDomain", ""),
    mountMtlsCerts: read.flag("global.mountMtlsCerts", false),
    clusterName: read.text("global.multiCluster.clusterName", ""),
    network: read.text("global.network", ""),
    nativeNftables: read.flag("global.nativeNftables", false),
    tokenAudience: read.text("global.sds.token.aud", "istio-ca"),
    stsPort: read.count("global.sts.servicePort", 0),
    trustBundleName: read.text("global.trustBundleName", ""),
    revision: read.text("revision", ""),
    proxy: readProxyValues(read),
    proxyInit: {
      image: read.text("global.proxy_init.image", "proxyv2"),
      forceApplyIptables: read.flag("global.proxy_init.forceApplyIptables", false),
    },
    cni: { isEnabled: read.flag("pilot.cni.enabled", false), provider: read.text("pilot.cni.provider", "default") },
    hasClusterTrustBundles: read.flag("pilot.env.ENABLE_CLUSTER_TRUST_BUNDLE_API", false),
    crlConfigMap: read.text("pilot.crlConfigMapName", "istio-ca-crl"),
    rewritesProbes: read.flag("sidecarInjectorWebhook.rewriteAppHTTPProbe", true),
    gatewaySecurityContext: read.object("gateways.securityContext"),
    raw,
  };
}

function readProxyValues(read: Reader): ProxyValues {
  return {
    image: read.text("global.proxy.image", "proxyv2"),
    clusterDomain: read.text("global.proxy.clusterDomain", "cluster.local"),
    logLevel: read.text("global.proxy.logLevel", "warning"),
    componentLogLevel: read.text("global.proxy.componentLogLevel", "misc:error"),
    outlierLogPath: read.text("global.proxy.outlierLogPath", ""),
    includeInboundPorts: read.text("global.proxy.includeInboundPorts", "*"),
    excludeInboundPorts: read.text("global.proxy.excludeInboundPorts", ""),
    includeOutboundPorts: read.text("global.proxy.includeOutboundPorts", ""),
    excludeOutboundPorts: read.text("global.proxy.excludeOutboundPorts", ""),
    includeIpRanges: read.text("global.proxy.includeIPRanges", "*"),
    excludeIpRanges: read.text("global.proxy.excludeIPRanges", ""),
    isPrivileged: read.flag("global.proxy.privileged", false),
    seccompProfile: read.object("global.proxy.seccompProfile"),
    lifecycle: read.object("global.proxy.lifecycle"),
    resources: read.object("global.proxy.resources"),
    readinessInitialDelaySeconds: read.count("global.proxy.readinessInitialDelaySeconds", 0),
    readinessPeriodSeconds: read.count("global.proxy.readinessPeriodSeconds", 15),
    readinessFailureThreshold: read.count("global.proxy.readinessFailureThreshold", 4),
    startupProbe: {
      isEnabled: read.flag("global.proxy.startupProbe.enabled", true),
      failureThreshold: read.count("global.proxy.startupProbe.failureThreshold", 600),
    },
    statusPort: read.count("global.proxy.statusPort", 15020),
    tracer: read.text("global.proxy.tracer", "none"),
    holdsApplication: read.flag("global.proxy.holdApplicationUntilProxyStarts", false),
    bindsLowPorts: read.flag("global.proxy.capNetBindService", false),
  };
}

function createReader(raw: PlainObject, findings: Findings): Reader {
  const wrong = (path: Path, value: PlainValue, wanted: string) =>
    findings.error(path, `must be ${wanted}, not ${describeType(value)}`, "wrong-type");
  const find = (place: string) => {
    const path = place.split(".");
    let value: PlainValue | undefined = raw;
    for (const step of path) value = isObject(value) ? field(value, step) : undefined;
    return { path, value: value ?? undefined };
  };
  return {
    text(place, byDefault) {
      const { path, value = byDefault } = find(place);
      // YAML reads a tag such as 1.30 as a number, and Istio's schema takes port lists of one port as such, too.
      if (typeof value === "string" || typeof value === "number") return String(value);
      wrong(path, value, "a string");
      return byDefault;
    },
    flag(place, byDefault) {
      const { path, value = byDefault } = find(place);
      if (typeof value === "boolean") return value;
      if (value === "true" || value === "false") return value === "true";
      wrong(path, value, "true or false");
      return byDefault;
    },
    count(place, byDefault) {
      const { path, value = byDefault } = find(place);
      const count = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
      if (typeof count === "number" && Number.isSafeInteger(count) && count >= 0 && count <= 2 ** 31 - 1) return count;
      findings.error(path, "must be a whole number from 0", "wrong-type");
      return byDefault;
    },
    object(place) {
      const { path, value = {} } = find(place);
      if (isObject(value)) return withoutNulls(value);
      wrong(path, value, "an object");
      return {};
    },
    texts(place) {
      const { path, value = [] } = find(place);
      if (isList(value) && value.every((item): item is string => typeof item === "string")) return value;
      wrong(path, value, "a list of strings");
      return [];
    },
  };
}

/** Helm takes a default away by null; what is left empty by that goes, too (Istio's template function omitNil). */
function withoutNulls(object: PlainObject): PlainObject {
  const result: { [name: string]: PlainValue } = {};
  for (const [name, value] of Object.entries(object)) {
    if (value === null) continue;
    const kept = isObject(value) ? withoutNulls(value) : value;
    if (isObject(value) && isObject(kept) && Object.keys(value).length > 0 && Object.keys(kept).length === 0) continue;
    result[name] = kept;
  }
  return result;
}
