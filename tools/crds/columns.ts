/** The columns of `kubectl get`: those of Istio's CRDs, and how far the configuration has come. */

export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "date";
  readonly jsonPath: string;
  readonly description: string;
  /** 1 for columns of `-o wide` only. */
  readonly priority?: 1;
}

const specColumn = (name: string, field: string, description: string): PrinterColumn => ({
  name,
  type: "string",
  jsonPath: `.spec.${field}`,
  description,
});

const age: PrinterColumn = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "Time since the object was created.",
};

/** The condition that the control plane writes: in one word, and in a sentence that counts the proxies. */
const state: readonly PrinterColumn[] = [
  {
    name: "Status",
    type: "string",
    jsonPath: '.status.conditions[?(@.type=="Reconciled")].reason',
    description: "Live, Unused, Distributing, Refused by a proxy, or ValidationFailed.",
  },
  {
    name: "Message",
    type: "string",
    jsonPath: '.status.conditions[?(@.type=="Reconciled")].message',
    description: "On how many proxies the newest generation is live, or why it is not.",
    priority: 1,
  },
];

const endWith = (...own: readonly PrinterColumn[]): readonly PrinterColumn[] => [...own, ...state, age];

export const columns = {
  VirtualService: endWith(
    specColumn("Gateways", "gateways", "Gateways that apply the rules."),
    specColumn("Hosts", "hosts", "Hosts that are addressed."),
  ),
  DestinationRule: endWith(specColumn("Host", "host", "Service that the policies are for.")),
  Gateway: endWith(
    specColumn("Selector", "selector", "Labels of the proxies that are the gateway."),
    specColumn("Hosts", "servers[*].hosts", "Hosts of all servers."),
  ),
  ServiceEntry: endWith(
    specColumn("Hosts", "hosts", "Hosts of the service."),
    specColumn("Location", "location", "Whether the service is part of the mesh."),
    specColumn("Resolution", "resolution", "How the addresses of endpoints are found."),
  ),
  WorkloadEntry: [age, specColumn("Address", "address", "Address of the workload."), ...state],
  WorkloadGroup: endWith(),
  Sidecar: endWith(specColumn("Selector", "workloadSelector.labels", "Labels of the workloads.")),
  EnvoyFilter: endWith(),
  ProxyConfig: endWith(),
  AuthorizationPolicy: endWith(specColumn("Action", "action", "What becomes of requests that match.")),
  RequestAuthentication: endWith(specColumn("Issuers", "jwtRules[*].issuer", "Issuers of the tokens.")),
  PeerAuthentication: endWith(specColumn("Mode", "mtls.mode", "Whether workloads take mutual TLS.")),
  Telemetry: endWith(),
  WasmPlugin: endWith(specColumn("URL", "url", "Where the module comes from.")),
  TrafficExtension: endWith(specColumn("Phase", "phase", "Where in the filter chain it stands.")),
} as const;
