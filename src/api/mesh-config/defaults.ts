import { defaultProxyConfig } from "../../lib/default-proxy-config.ts";
import type { MeshConfig } from "./schema.ts";

/** What Istio takes where the mesh configuration says nothing (pkg/config/mesh/mesh.go, DefaultMeshConfig). */
export const defaultMeshConfig: MeshConfig = {
  proxyListenPort: 15001,
  proxyInboundListenPort: 15006,
  proxyHttpPort: 0,
  connectTimeout: "10s",
  protocolDetectionTimeout: "0s",
  enableAutoMtls: true,
  outboundTrafficPolicy: { mode: "ALLOW_ANY" },
  inboundTrafficPolicy: { mode: "PASSTHROUGH" },
  localityLbSetting: { enabled: true },
  dnsRefreshRate: "60s",
  h2UpgradePolicy: "DO_NOT_UPGRADE",
  defaultServiceExportTo: ["*"],
  defaultVirtualServiceExportTo: ["*"],
  defaultDestinationRuleExportTo: ["*"],
  ingressService: "istio-ingressgateway",
  ingressControllerMode: "STRICT",
  ingressClass: "istio",
  rootNamespace: "istio-system",
  trustDomain: "cluster.local",
  trustDomainAliases: [],
  enableTracing: true,
  accessLogFile: "",
  accessLogFormat: "",
  accessLogEncoding: "TEXT",
  enableEnvoyAccessLogService: false,
  enablePrometheusMerge: true,
  extensionProviders: [
    { name: "prometheus", prometheus: {} },
    { name: "stackdriver", stackdriver: {} },
    { name: "envoy", envoyFileAccessLog: { path: "/dev/stdout" } },
  ],
  defaultProviders: {},
  defaultConfig: defaultProxyConfig,
};
