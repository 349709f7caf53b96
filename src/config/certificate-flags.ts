import { defineFlag } from "./flag.ts";

/** Flags of the service that certifies workloads, under istiod's names (pilot/pkg/bootstrap/istio_ca.go, pilot/pkg/features). */
export const certificateFlags = {
  caServer: defineFlag({
    env: "ENABLE_CA_SERVER",
    type: "boolean",
    default: "true",
    doc: "Certify the keys of workloads, on the port for xDS over TLS.",
  }),
  defaultWorkloadCertTtl: defineFlag({
    env: "DEFAULT_WORKLOAD_CERT_TTL",
    type: "duration",
    default: "24h",
    doc: "Life of a workload's certificate where the workload asks for none.",
  }),
  maxWorkloadCertTtl: defineFlag({
    env: "MAX_WORKLOAD_CERT_TTL",
    type: "duration",
    default: "2160h",
    doc: "Longest life that a workload may ask for; who asks for more gets no certificate.",
  }),
  trustedNodeAccounts: defineFlag({
    env: "CA_TRUSTED_NODE_ACCOUNTS",
    type: "string",
    default: "",
    doc: "Service accounts, NAMESPACE/NAME with commas between them, of node proxies, which may have certificates for the workloads of their node; none where empty.",
  }),
  trustedGatewayCidr: defineFlag({
    env: "TRUSTED_GATEWAY_CIDR",
    type: "string",
    default: "",
    doc: "Networks, with commas between them, of gateways that end TLS in front of this control plane: their header x-forwarded-client-cert says who calls, and so does that of this machine. Where empty, the header is never read.",
  }),
} as const;
