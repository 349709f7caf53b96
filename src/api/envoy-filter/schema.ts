/** EnvoyFilter (networking.istio.io): patches of the configuration that proxies get. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import {
  type DeepReadonly,
  freeForm,
  int32,
  labels,
  list,
  networkSelector,
  oneOf,
  optional,
  record,
  text,
  uint32,
} from "../schema-fields.ts";

const filterMatch = record(
  {
    name: optional(text("Name of the filter.")),
    subFilter: optional(record({ name: optional(text("Name of the filter.")) }, "A filter within this one.")),
  },
  "A filter.",
);

const listenerMatch = record(
  {
    portNumber: optional(uint32("Number of the listener's port.")),
    portName: optional(text("Name of the listener's port. Not used.")),
    filterChain: optional(
      record(
        {
          name: optional(text("Name of the chain.")),
          sni: optional(text("Server name that the chain matches.")),
          transportProtocol: optional(text("Transport that the chain matches: raw_buffer or tls.")),
          applicationProtocols: optional(text("Application protocols that the chain matches, with commas between.")),
          filter: optional(filterMatch),
          destinationPort: optional(uint32("Port that the chain matches.")),
        },
        "A chain of filters in the listener.",
      ),
    ),
    listenerFilter: optional(text("Name of a listener filter.")),
    name: optional(text("Name of the listener.")),
  },
  "Listeners to patch.",
);

const routeMatch = record(
  {
    name: optional(text("Name of the route.")),
    action: optional(oneOf(["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"], "What the route does.")),
  },
  "A route in the virtual host.",
);

const routeConfigurationMatch = record(
  {
    portNumber: optional(uint32("Number of the port that the configuration is for.")),
    portName: optional(text("Name of the gateway's port that the configuration is for.")),
    gateway: optional(text("Gateway that the configuration is for, as namespace/name.")),
    vhost: optional(
      record(
        {
          name: optional(text("Name of the virtual host.")),
          route: optional(routeMatch),
          domainName: optional(text("One of the virtual host's domains.")),
        },
        "A virtual host in the configuration.",
      ),
    ),
    name: optional(text("Name of the configuration.")),
  },
  "Route configurations to patch.",
);

const clusterMatch = record(
  {
    portNumber: optional(uint32("Number of the service's port.")),
    service: optional(text("Full name of the service.")),
    subset: optional(text("Name of the subset.")),
    name: optional(text("Name of the cluster.")),
  },
  "Clusters to patch.",
);

const waypointMatch = record(
  {
    filter: optional(filterMatch),
    portNumber: optional(uint32("Number of the service's port.")),
    route: optional(record({ name: optional(text("Name of the route.")) }, "A route.")),
  },
  "What to patch in a waypoint.",
);

const matchSchema = record(
  {
    context: optional(
      oneOf(
        ["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"],
        "Which part of which proxies is patched.",
      ),
    ),
    proxy: optional(
      record(
        {
          proxyVersion: optional(text("Expression in RE2 syntax that the proxy's version must match.")),
          metadata: optional(labels("Metadata that the proxy must have, all of them.")),
        },
        "Proxies to patch.",
      ),
    ),
    listener: optional(listenerMatch),
    routeConfiguration: optional(routeConfigurationMatch),
    cluster: optional(clusterMatch),
    waypoint: optional(waypointMatch),
  },
  "What is patched; at most one of listener, routeConfiguration, cluster, waypoint.",
);

const patchSchema = record(
  {
    operation: optional(
      oneOf(
        [
          "INVALID",
          "MERGE",
          "ADD",
          "REMOVE",
          "INSERT_BEFORE",
          "INSERT_AFTER",
          "INSERT_FIRST",
          "REPLACE",
          "MERGE_AND_REPLACE_LIST",
        ],
        "What is done with what was found.",
      ),
    ),
    value: optional(freeForm("Envoy's configuration, of the type that applyTo asks for.")),
    filterClass: optional(
      oneOf(["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"], "Where ADD puts a filter: behind those of this class."),
    ),
  },
  "The patch.",
);

const configPatchSchema = record(
  {
    applyTo: optional(
      oneOf(
        [
          "INVALID",
          "LISTENER",
          "FILTER_CHAIN",
          "NETWORK_FILTER",
          "HTTP_FILTER",
          "ROUTE_CONFIGURATION",
          "VIRTUAL_HOST",
          "HTTP_ROUTE",
          "CLUSTER",
          "EXTENSION_CONFIG",
          "BOOTSTRAP",
          "LISTENER_FILTER",
        ],
        "What kind of thing is patched.",
      ),
    ),
    match: optional(matchSchema),
    patch: optional(patchSchema),
  },
  "One patch.",
);

const targetSchema = record(
  {
    group: optional(text("API group of the object.")),
    kind: optional(text("Kind of the object: Gateway, GatewayClass, Service or ServiceEntry.")),
    name: optional(text("Name of the object.")),
    namespace: optional(text("Not used: the object is in the filter's own namespace.")),
  },
  "An object whose proxies are patched.",
);

export const envoyFilterSchema = record({
  workloadSelector: optional(networkSelector("Workloads whose proxies are patched; all of the namespace by default.")),
  targetRefs: optional(list(targetSchema, "Objects whose proxies are patched, such as a waypoint.")),
  configPatches: optional(list(configPatchSchema, "Patches, in order.")),
  priority: optional(int32("Place among the filters: lower ones first, 0 by default.")),
});

export type EnvoyFilterSpec = DeepReadonly<Static<typeof envoyFilterSchema>>;
export type EnvoyFilter = ApiObject<"EnvoyFilter", EnvoyFilterSpec>;
export type ConfigPatch = NonNullable<EnvoyFilterSpec["configPatches"]>[number];
export type PatchMatch = NonNullable<ConfigPatch["match"]>;
export type ListenerFilterMatch = NonNullable<
  NonNullable<NonNullable<PatchMatch["listener"]>["filterChain"]>["filter"]
>;
