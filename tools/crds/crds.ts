/** The CustomResourceDefinitions of Istio's kinds, made of the schemas that Meltemi reads objects with. */
import { istioResources, type ResourceNames } from "../../src/api/resource-names.ts";
import { specSchemas } from "../../src/api/spec-schemas.ts";
import { columns, type PrinterColumn } from "./columns.ts";
import * as networking from "./networking-rules.ts";
import * as policies from "./policy-rules.ts";
import { createRefiner, type Refinements } from "./refinement.ts";
import { statusSchema } from "./status-schema.ts";
import { convertSchema, type SourceSchema, type StructuralSchema } from "./structural.ts";

type CrdKind = keyof typeof istioResources;

/** The parts of apiextensions.k8s.io/v1 that are used, named as there. */
export interface CustomResourceDefinition {
  readonly apiVersion: "apiextensions.k8s.io/v1";
  readonly kind: "CustomResourceDefinition";
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly group: string;
    readonly scope: "Namespaced" | "Cluster";
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly CrdVersion[];
  };
}

export interface CrdVersion {
  readonly name: string;
  readonly served: true;
  readonly storage: boolean;
  readonly additionalPrinterColumns: readonly PrinterColumn[];
  readonly subresources: { readonly status: Readonly<Record<string, never>> };
  readonly schema: { readonly openAPIV3Schema: StructuralSchema };
}

const refinements: Readonly<Record<CrdKind, Refinements>> = {
  VirtualService: networking.virtualServiceRules,
  DestinationRule: networking.destinationRuleRules,
  Gateway: networking.gatewayRules,
  ServiceEntry: networking.serviceEntryRules,
  WorkloadEntry: networking.workloadEntrySpecRules,
  WorkloadGroup: networking.workloadGroupRules,
  Sidecar: networking.sidecarRules,
  EnvoyFilter: networking.envoyFilterRules,
  ProxyConfig: networking.proxyConfigRules,
  AuthorizationPolicy: policies.authorizationPolicyRules,
  RequestAuthentication: policies.requestAuthenticationRules,
  PeerAuthentication: policies.peerAuthenticationRules,
  Telemetry: policies.telemetryRules,
  WasmPlugin: policies.wasmPluginRules,
  TrafficExtension: policies.trafficExtensionRules,
};

/** Kinds that say nothing without a spec; the others may be stored without one, as Istio's CRDs have it. */
const specRequired: ReadonlySet<string> = new Set([
  "ServiceEntry",
  "WorkloadEntry",
  "WorkloadGroup",
  "WasmPlugin",
  "TrafficExtension",
]);

/** First words of `kubectl explain`. */
const descriptions: Readonly<Record<CrdKind, string>> = {
  VirtualService: "Rules that apply when a host is addressed: matching, routing, retries, faults and more.",
  DestinationRule: "Policies for traffic to a service, after routing chose it: balancing, limits, TLS, subsets.",
  Gateway: "Ports that a gateway proxy opens at the edge of the mesh, and the hosts behind them.",
  ServiceEntry: "A service that the registry does not know by itself.",
  WorkloadEntry: "One workload outside of Kubernetes, such as a virtual machine.",
  WorkloadGroup: "What workloads outside of Kubernetes have in common, and how they are probed.",
  Sidecar: "What the sidecars of a namespace or of some workloads know of and listen on.",
  EnvoyFilter: "Changes of the configuration that proxies get.",
  ProxyConfig: "Settings of proxies that are read when they start.",
  AuthorizationPolicy: "Which requests and connections workloads accept.",
  RequestAuthentication: "Which JSON Web Tokens workloads accept.",
  PeerAuthentication: "Whether workloads take mutual TLS, plain text or both.",
  Telemetry: "Metrics, access logs and traces of workloads.",
  WasmPlugin: "A WebAssembly module that runs in proxies.",
  TrafficExtension: "A WebAssembly module or Lua code that runs in proxies.",
};

/**
 * All CRDs, by name. Throws where a refinement names a field that its schema does not have: the schema was changed and
 * the rules were not.
 */
export function listCrds(): readonly CustomResourceDefinition[] {
  // The schemas are plain JSON Schema behind the types of TypeBox.
  return Object.entries(specSchemas)
    .map(([kind, schema]) => buildCrd(kind as CrdKind, schema as unknown as SourceSchema))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

function buildCrd(kind: CrdKind, source: SourceSchema): CustomResourceDefinition {
  const names: ResourceNames = istioResources[kind];
  const openAPIV3Schema = buildObjectSchema(kind, source);
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${names.plural}.${names.group}`,
      labels: { app: "meltemi", "app.kubernetes.io/part-of": "meltemi" },
      // Objects of users go with their CRD: Helm leaves it where it is when the chart is removed.
      annotations: { "helm.sh/resource-policy": "keep" },
    },
    spec: {
      group: names.group,
      scope: names.isNamespaced ? "Namespaced" : "Cluster",
      names: {
        kind,
        listKind: `${kind}List`,
        plural: names.plural,
        singular: names.singular,
        ...(names.shortNames.length === 0 ? {} : { shortNames: names.shortNames }),
        categories: ["istio-io", names.group.replaceAll(".", "-")],
      },
      versions: names.versions.map((version, index) => ({
        name: version,
        served: true,
        storage: index === 0,
        additionalPrinterColumns: columns[kind],
        subresources: { status: {} },
        schema: { openAPIV3Schema },
      })),
    },
  };
}

function buildObjectSchema(kind: CrdKind, source: SourceSchema): StructuralSchema {
  const refiner = createRefiner(refinements[kind]);
  const spec = convertSchema(source, "", refiner.refine);
  const unused = refiner.listUnused();
  if (unused.length > 0) throw new Error(`rules of ${kind} meet no field: ${unused.join(", ")}`);
  return {
    type: "object",
    description: descriptions[kind],
    properties: { spec: { description: descriptions[kind], ...spec }, status: statusSchema },
    ...(specRequired.has(kind) ? { required: ["spec"] } : {}),
  };
}
