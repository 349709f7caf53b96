import type { AuthorizationPolicy } from "./authorization-policy/schema.ts";
import type { DestinationRule } from "./destination-rule/schema.ts";
import type { EnvoyFilter } from "./envoy-filter/schema.ts";
import type { Gateway } from "./gateway/schema.ts";
import type {
  ConfigMap,
  EndpointSlice,
  KubeNode,
  KubeService,
  LegacyEndpoints,
  Namespace,
  Pod,
  Secret,
  ServiceAccount,
} from "./kubernetes/types.ts";
import type { PeerAuthentication } from "./peer-authentication/schema.ts";
import type { ProxyConfig } from "./proxy-config/schema.ts";
import type { RequestAuthentication } from "./request-authentication/schema.ts";
import type { ServiceEntry } from "./service-entry/schema.ts";
import type { Sidecar } from "./sidecar/schema.ts";
import type { Telemetry } from "./telemetry/schema.ts";
import type { TrafficExtension } from "./traffic-extension/schema.ts";
import type { VirtualService } from "./virtual-service/schema.ts";
import type { WasmPlugin } from "./wasm-plugin/schema.ts";
import type { WorkloadEntry } from "./workload-entry/schema.ts";
import type { WorkloadGroup } from "./workload-group/schema.ts";

/** Every object that a source can hand over; `kind` tells them apart. */
export type MeshObject =
  | KubeService
  | EndpointSlice
  | LegacyEndpoints
  | Pod
  | KubeNode
  | Namespace
  | Secret
  | ConfigMap
  | ServiceAccount
  | VirtualService
  | DestinationRule
  | Gateway
  | ServiceEntry
  | WorkloadEntry
  | Sidecar
  | PeerAuthentication
  | AuthorizationPolicy
  | RequestAuthentication
  | Telemetry
  | ProxyConfig
  | WorkloadGroup
  | EnvoyFilter
  | WasmPlugin
  | TrafficExtension;

export type Kind = MeshObject["kind"];
export type ObjectOf<K extends Kind> = Extract<MeshObject, { readonly kind: K }>;
