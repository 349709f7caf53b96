/**
 * Istio's defaults of a proxy's own settings (pkg/config/mesh DefaultProxyConfig): what the control plane tells in the
 * mesh's settings, and what an agent begins with.
 */
export const defaultProxyConfig = {
  configPath: "./etc/istio/proxy",
  binaryPath: "/usr/local/bin/envoy",
  serviceCluster: "istio-proxy",
  drainDuration: "45s",
  terminationDrainDuration: "5s",
  proxyAdminPort: 15000,
  controlPlaneAuthPolicy: "MUTUAL_TLS",
  discoveryAddress: "istiod.istio-system.svc:15012",
  statNameLength: 189,
  statusPort: 15020,
} as const;
