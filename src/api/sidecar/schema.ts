/** Sidecar (networking.istio.io): what the sidecars of a namespace or of some workloads know of and listen on. */
import type { Static } from "typebox";
import { connectionPoolSchema } from "../destination-rule/traffic-policy.ts";
import { serverTlsSchema } from "../gateway/schema.ts";
import type { ApiObject } from "../object.ts";
import {
  type DeepReadonly,
  list,
  name,
  networkSelector,
  oneOf,
  optional,
  record,
  text,
  texts,
  uint32,
} from "../schema-fields.ts";

const sidecarPortSchema = record(
  {
    number: optional(uint32("Number of the port; 0 for a Unix socket.")),
    protocol: optional(text("HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.")),
    name: optional(text("Name of the port.")),
    targetPort: optional(uint32("Port of the endpoints. Not used.")),
  },
  "A port to listen on.",
);

const captureMode = optional(
  oneOf(
    ["DEFAULT", "IPTABLES", "NONE"],
    "How traffic comes to the listener; NONE where the workload addresses it itself.",
  ),
);

const destinationSchema = record(
  {
    host: name("Name of a service in the registry."),
    subset: optional(text("Name of a subset.")),
    port: optional(record({ number: optional(uint32("Number of the service's port.")) }, "Port of the host.")),
  },
  "A service.",
);

export const outboundTrafficPolicySchema = record(
  {
    mode: optional(
      oneOf(
        ["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"],
        "Whether traffic to hosts that the registry does not know goes out.",
      ),
    ),
    egressProxy: optional(destinationSchema),
  },
  "What happens to traffic to unknown hosts; as the mesh says where not given.",
);

export const ingressListenerSchema = record(
  {
    port: sidecarPortSchema,
    bind: optional(text("Address to listen on; the workload's addresses where not given.")),
    captureMode,
    defaultEndpoint: optional(
      text("Where the application listens: 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path."),
    ),
    tls: optional(serverTlsSchema),
    connectionPool: optional(connectionPoolSchema),
  },
  "A listener for traffic to the workload.",
);

export const egressListenerSchema = record(
  {
    port: optional(sidecarPortSchema),
    bind: optional(text("Address or Unix socket to listen on.")),
    captureMode,
    hosts: texts('Hosts that are known, as "namespace/host"; the namespace may be ".", "*" or "~".'),
  },
  "A listener for traffic from the workload, and the hosts that it knows.",
);

export const sidecarSchema = record({
  workloadSelector: optional(networkSelector("Workloads that this applies to; all of the namespace where not given.")),
  ingress: optional(
    list(ingressListenerSchema, "Listeners for traffic to the workload; found from its services where not given."),
  ),
  egress: optional(list(egressListenerSchema, "Listeners for traffic from the workload.")),
  inboundConnectionPool: optional(connectionPoolSchema),
  outboundTrafficPolicy: optional(outboundTrafficPolicySchema),
});

export type SidecarSpec = DeepReadonly<Static<typeof sidecarSchema>>;
export type Sidecar = ApiObject<"Sidecar", SidecarSpec>;
export type IngressListener = DeepReadonly<Static<typeof ingressListenerSchema>>;
export type EgressListener = DeepReadonly<Static<typeof egressListenerSchema>>;
export type OutboundTrafficPolicy = DeepReadonly<Static<typeof outboundTrafficPolicySchema>>;
