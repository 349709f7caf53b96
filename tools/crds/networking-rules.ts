/** Refinements of the kinds of networking.istio.io. Limits are those of Istio's own CRDs. */
import type { Refinements } from "./refinement.ts";
import {
  below,
  networkSelectorRules,
  policySelectorRules,
  portRange,
  stringMatchRules,
  targetRefsRules,
  workloadEntryRules,
} from "./shared-rules.ts";

export const virtualServiceRules: Refinements = {
  ...stringMatchRules(["uri", "scheme", "method", "authority"].map((field) => `http[].match[].${field}`)),
  ...stringMatchRules(["headers", "queryParams", "withoutHeaders"].map((field) => `http[].match[].${field}{}`)),
  ...stringMatchRules(["http[].corsPolicy.allowOrigins[]"]),
  "http[]": {
    nullable: ["mirrorPercent"],
    aliases: [["mirror_percent", "mirrorPercent"]],
  },
  "http[].directResponse.body": { oneofs: [["string", "bytes"]] },
  "http[].fault.abort": { oneofs: [["httpStatus", "grpcStatus", "http2Error"]] },
  "http[].fault.delay": { oneofs: [["fixedDelay", "exponentialDelay"]] },
  "http[].redirect": { oneofs: [["port", "derivePort"]] },
  "http[].corsPolicy": { nullable: ["allowCredentials"] },
  "http[].retries": { nullable: ["retryIgnorePreviousHosts", "retryRemoteLocalities"] },
};

/** Traffic policies, those of subsets and of single ports among them. */
const trafficPolicyRules: Refinements = {
  "**.loadBalancer": { oneofs: [["simple", "consistentHash"]] },
  "**.loadBalancer.consistentHash": {
    oneofs: [
      ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"],
      ["ringHash", "maglev"],
    ],
  },
  "**.loadBalancer.localityLbSetting": { nullable: ["enabled"] },
  "**.loadBalancer.zoneAwareLbSetting": { nullable: ["enabled", "minClusterSize"] },
  "**.loadBalancer.zoneAwareLbSetting.minClusterSize": { minimum: 1 },
  "**.loadBalancer.warmup": { nullable: ["aggression", "minimumPercent"] },
  "**.loadBalancer.warmup.minimumPercent": { minimum: 0, maximum: 100 },
  "**.loadBalancer.warmup.aggression": { minimum: 0 },
  "**.trafficPolicy.portLevelSettings": { maxItems: 4096 },
  "**.outlierDetection": {
    nullable: ["consecutive5xxErrors", "consecutiveGatewayErrors", "consecutiveLocalOriginFailures"],
  },
  "**.outlierDetection.outlierDetectionHttpErrorCodes[]": { minimum: 100, maximum: 599 },
  "**.tls": { nullable: ["insecureSkipVerify"] },
  "**.trafficPolicy.retryBudget": { nullable: ["percent"] },
  "**.trafficPolicy.retryBudget.percent": { minimum: 0, maximum: 100 },
};

export const destinationRuleRules: Refinements = { ...trafficPolicyRules, ...policySelectorRules("workloadSelector") };

/** TLS of a server. A credentialName next to tlsCertificates passes Istio's CRDs, so it must pass here. */
const serverTlsRules: Refinements = {
  tls: {
    nullable: ["insecureSkipVerify"],
    oneofs: [
      ["credentialName", "credentialNames"],
      ["credentialNames", "tlsCertificates"],
    ],
  },
  "tls.credentialNames": { minItems: 1, maxItems: 2 },
  "tls.tlsCertificates": { minItems: 1, maxItems: 2 },
};

export const gatewayRules: Refinements = below("servers[]", serverTlsRules);

export const sidecarRules: Refinements = { ...below("ingress[]", serverTlsRules), ...networkSelectorRules };

export const workloadEntrySpecRules: Refinements = workloadEntryRules("", { isAddressRequired: true });

export const serviceEntryRules: Refinements = {
  "": {
    oneofs: [["workloadSelector", "endpoints"]],
    rules: [
      {
        rule: "!has(self.addresses) || !has(self.resolution) || self.resolution in ['NONE', 'STATIC'] || !self.addresses.exists(address, address.contains('/'))",
        message: "addresses may be CIDR ranges for resolution NONE and STATIC only",
      },
      {
        rule: "!has(self.endpoints) || (has(self.resolution) && self.resolution != 'NONE')",
        message: "endpoints need a resolution other than NONE",
      },
      {
        rule: "!has(self.endpoints) || !has(self.resolution) || self.resolution != 'DNS_ROUND_ROBIN' || self.endpoints.size() <= 1",
        message: "resolution DNS_ROUND_ROBIN has one endpoint at most",
      },
    ],
  },
  hosts: { minItems: 1, maxItems: 256 },
  "hosts[]": { rules: [{ rule: "self != '*'", message: '"*" alone is no host' }] },
  addresses: { maxItems: 256 },
  "addresses[]": { maxLength: 64 },
  ports: {
    maxItems: 256,
    listMapKey: "name",
    rules: [
      {
        rule: "self.all(port, self.exists_one(other, other.number == port.number))",
        message: "two ports have the same number",
      },
    ],
  },
  "ports[].name": { maxLength: 256 },
  "ports[].protocol": { maxLength: 256 },
  "ports[].number": { rules: [portRange] },
  "ports[].targetPort": { rules: [portRange] },
  endpoints: { maxItems: 4096 },
  ...workloadEntryRules("endpoints[]", { isAddressRequired: true }),
  ...networkSelectorRules,
};

const probeSeconds = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];

export const workloadGroupRules: Refinements = {
  "metadata.labels": { maxProperties: 256 },
  "metadata.annotations": { maxProperties: 256 },
  ...workloadEntryRules("template", { isAddressRequired: false }),
  probe: { oneofs: [["httpGet", "tcpSocket", "exec", "grpc"]] },
  ...Object.fromEntries(probeSeconds.map((field) => [`probe.${field}`, { minimum: 0 }])),
  "probe.httpGet": { required: ["port"] },
  "probe.httpGet.port": { rules: [portRange] },
  "probe.httpGet.scheme": {
    rules: [{ rule: "self in ['', 'HTTP', 'HTTPS']", message: "must be HTTP or HTTPS" }],
  },
  "probe.httpGet.httpHeaders[].name": { pattern: "^[-_A-Za-z0-9]+$" },
  "probe.tcpSocket": { required: ["port"] },
  "probe.tcpSocket.port": { rules: [portRange] },
  "probe.exec": { required: ["command"] },
  "probe.exec.command[]": { minLength: 1 },
  "probe.grpc.port": { rules: [portRange] },
};

export const proxyConfigRules: Refinements = {
  "": { nullable: ["concurrency"] },
  concurrency: { minimum: 0 },
  "environmentVariables{}": { maxLength: 2048 },
  ...policySelectorRules("selector"),
};

export const envoyFilterRules: Refinements = {
  "": { oneofs: [["workloadSelector", "targetRefs"]] },
  "configPatches[].match": {
    oneofs: [["listener", "routeConfiguration", "cluster", "waypoint"]],
    rules: [
      {
        rule: "has(self.waypoint) == (has(self.context) && self.context == 'WAYPOINT')",
        message: "waypoint goes with the context WAYPOINT, and with no other",
      },
    ],
  },
  "configPatches[].match.waypoint.portNumber": { rules: [portRange] },
  ...networkSelectorRules,
  ...targetRefsRules,
};
