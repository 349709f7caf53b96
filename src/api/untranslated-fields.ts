/**
 * Fields of Istio's kinds that are read and have no effect. One table for the warning that their writer gets and for
 * docs/features.md. Kinds without any effect stand in untranslatedKinds (known-kinds.ts).
 */
import type { Finding } from "./findings.ts";
import type { IstioKind } from "./known-kinds.ts";

export interface UntranslatedField {
  readonly kind: IstioKind;
  /** From the spec: names joined by dots, "[]" for the items of a list, "{}" for the values of a map. */
  readonly path: string;
  /** Why, as the rest of a sentence that begins with "has no effect: ". */
  readonly reason: string;
  /** Set where the checks of the kind speak of the field already: they refuse it as istiod does, or warn. */
  readonly told?: "error" | "warning";
}

/** Where a destination rule has a traffic policy, or the part of one that ports have. */
const policyPlaces = ["trafficPolicy", "subsets[].trafficPolicy"].flatMap((place) => [
  place,
  `${place}.portLevelSettings[]`,
]);
const noSecrets = "sidecars have certificates in files only";
const onlyWithSecret = "Istio looks at it only beside a secret, which sidecars cannot have";
const noCurves = "istiod does not look at it; tlsDefaults of the mesh has curves";
const inboundUpgrade = "what the application speaks is known by the port";
const noTargetPort = "only ports of services have one";

export const untranslatedFields: readonly UntranslatedField[] = [
  {
    kind: "VirtualService",
    path: "http[].fault.delay.exponentialDelay",
    reason: "Istio never made it work",
    told: "error",
  },
  {
    kind: "VirtualService",
    path: "http[].fault.abort.http2Error",
    reason: "Istio never made it work",
    told: "error",
  },
  { kind: "VirtualService", path: "tcp[].match[].sourceSubnet", reason: "Istio never made it work" },
  ...policyPlaces.map(
    (place): UntranslatedField => ({
      kind: "DestinationRule",
      path: `${place}.outlierDetection.consecutiveErrors`,
      reason: "Istio has given the field up for consecutiveGatewayErrors and consecutive5xxErrors",
      told: "warning",
    }),
  ),
  { kind: "Gateway", path: "servers[].defaultEndpoint", reason: "Istio never made it work; routes say where to go" },
  { kind: "Gateway", path: "servers[].port.targetPort", reason: noTargetPort, told: "error" },
  {
    kind: "Gateway",
    path: "servers[].tls.tlsCertificates[].caCertificates",
    reason: "Envoy checks clients against one authority for all certificates; caCertificates of tls has it",
  },
  { kind: "Sidecar", path: "ingress[].tls.ecdhCurves", reason: noCurves },
  { kind: "Sidecar", path: "ingress[].tls.verifyCertificateSpki", reason: onlyWithSecret },
  { kind: "Sidecar", path: "ingress[].tls.verifyCertificateHash", reason: onlyWithSecret },
  { kind: "Sidecar", path: "ingress[].tls.caCertCredentialName", reason: onlyWithSecret },
  { kind: "Sidecar", path: "ingress[].connectionPool.http.h2UpgradePolicy", reason: inboundUpgrade },
  { kind: "Sidecar", path: "inboundConnectionPool.http.h2UpgradePolicy", reason: inboundUpgrade },
  { kind: "Sidecar", path: "ingress[].port.targetPort", reason: noTargetPort, told: "error" },
  { kind: "Sidecar", path: "egress[].port.targetPort", reason: noTargetPort, told: "error" },
  { kind: "Sidecar", path: "ingress[].tls.httpsRedirect", reason: "a sidecar cannot redirect", told: "error" },
  { kind: "Sidecar", path: "ingress[].tls.credentialName", reason: noSecrets, told: "error" },
  { kind: "Sidecar", path: "ingress[].tls.credentialNames", reason: noSecrets, told: "error" },
  { kind: "Sidecar", path: "ingress[].tls.tlsCertificates", reason: noSecrets, told: "error" },
  { kind: "Sidecar", path: "ingress[].tls.subjectAltNames", reason: "Istio refuses it on sidecars", told: "error" },
  { kind: "WorkloadGroup", path: "template.address", reason: "each entry has the address of its workload" },
  { kind: "WorkloadGroup", path: "probe.grpc", reason: "istiod refuses it", told: "error" },
  {
    kind: "WorkloadGroup",
    path: "probe",
    reason: "agents probe by their own configuration, for which istioctl copies it; what they report counts",
  },
  { kind: "EnvoyFilter", path: "targetRefs[].namespace", reason: "what it names is in the filter's own namespace" },
  { kind: "EnvoyFilter", path: "configPatches[].match.listener.portName", reason: "istiod does not look at it" },
  { kind: "EnvoyFilter", path: "configPatches[].match.waypoint", reason: "there are no waypoint proxies" },
  { kind: "EnvoyFilter", path: "configPatches[].patch.filterClass", reason: "istiod does not look at it" },
];

/** Warnings for the fields of the table that a spec sets. */
export function findUntranslatedFields(kind: IstioKind, spec: unknown): readonly Finding[] {
  return untranslatedFields
    .filter((field) => field.kind === kind && field.told === undefined)
    .flatMap(({ path, reason }) =>
      findPaths(spec, splitPath(path)).map(
        (found): Finding => ({
          level: "warning",
          code: "untranslated-field",
          path: ["spec", ...found],
          text: `has no effect: ${reason}`,
        }),
      ),
    );
}

/** The steps of a path: names, and "[]" and "{}" as steps of their own. */
function splitPath(path: string): readonly string[] {
  return path.split(/\.|(?=\[\]|\{\})/);
}

/** Every place of a value that a path stands for. */
function findPaths(value: unknown, [step, ...rest]: readonly string[]): readonly (readonly (string | number)[])[] {
  if (step === undefined) return value === undefined || value === null ? [] : [[]];
  if (typeof value !== "object" || value === null) return [];
  const entries: readonly (readonly [string | number, unknown])[] = Array.isArray(value)
    ? value.map((item: unknown, index) => [index, item] as const)
    : Object.entries(value);
  const isAny = step === (Array.isArray(value) ? "[]" : "{}");
  return entries
    .filter(([name]) => isAny || name === step)
    .flatMap(([name, item]) => findPaths(item, rest).map((found) => [name, ...found]));
}
