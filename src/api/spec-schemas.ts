/** The schema of the spec of every Istio kind: what users write is checked against it, and the CRDs are made of it. */
import type { TSchema } from "typebox";
import { authorizationPolicySchema } from "./authorization-policy/schema.ts";
import { destinationRuleSchema } from "./destination-rule/schema.ts";
import { envoyFilterSchema } from "./envoy-filter/schema.ts";
import { gatewaySchema } from "./gateway/schema.ts";
import type { IstioKind } from "./known-kinds.ts";
import { peerAuthenticationSchema } from "./peer-authentication/schema.ts";
import { proxyConfigSchema } from "./proxy-config/schema.ts";
import { requestAuthenticationSchema } from "./request-authentication/schema.ts";
import { serviceEntrySchema } from "./service-entry/schema.ts";
import { sidecarSchema } from "./sidecar/schema.ts";
import { telemetrySchema } from "./telemetry/schema.ts";
import { trafficExtensionSchema } from "./traffic-extension/schema.ts";
import { virtualServiceSchema } from "./virtual-service/schema.ts";
import { wasmPluginSchema } from "./wasm-plugin/schema.ts";
import { workloadEntrySchema } from "./workload-entry/schema.ts";
import { workloadGroupSchema } from "./workload-group/schema.ts";

export const specSchemas = {
  VirtualService: virtualServiceSchema,
  DestinationRule: destinationRuleSchema,
  Gateway: gatewaySchema,
  ServiceEntry: serviceEntrySchema,
  WorkloadEntry: workloadEntrySchema,
  Sidecar: sidecarSchema,
  PeerAuthentication: peerAuthenticationSchema,
  AuthorizationPolicy: authorizationPolicySchema,
  RequestAuthentication: requestAuthenticationSchema,
  Telemetry: telemetrySchema,
  ProxyConfig: proxyConfigSchema,
  WorkloadGroup: workloadGroupSchema,
  EnvoyFilter: envoyFilterSchema,
  WasmPlugin: wasmPluginSchema,
  TrafficExtension: trafficExtensionSchema,
} as const satisfies Readonly<Record<IstioKind, TSchema>>;
