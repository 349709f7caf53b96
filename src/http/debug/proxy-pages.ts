/** Pages about the configuration of one proxy, which `proxyID` names. */
import { formatMessage, formatObjectRef } from "../../lib/message.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { listPatchMessages } from "../../translate/patch/patch-outcomes.ts";
import type { ConnectionView } from "../ports.ts";
import { notConnected } from "./connection-pages.ts";
import { deriveProxyViews, listProxyResources, type ProxyResources, type ResourceJson } from "./proxy-resources.ts";
import { type DebugHandler, type DebugReply, type DebugRequest, replyJson, replyText } from "./reply.ts";
import { formatService } from "./service-json.ts";

interface ProxyRequest extends DebugRequest {
  readonly connection: ConnectionView;
  readonly snapshot: Snapshot;
}

/** Finds the proxy that a page is about; the texts of the errors are istiod's, which tools look for. */
function forProxy(handle: (request: ProxyRequest) => DebugReply): DebugHandler {
  return (request) => {
    const wanted = request.query.get("proxyID") ?? "";
    if (wanted === "") return replyText(400, "You must provide a proxyID in the query string\n");
    const connection = request.port.listConnections().find(({ connectionId }) => connectionId.includes(wanted));
    const snapshot = request.port.snapshot();
    if (connection === undefined || snapshot === undefined) return replyText(404, notConnected);
    return handle({ ...request, connection, snapshot });
  };
}

const resourcesOf = ({ port, snapshot, connection }: ProxyRequest): ProxyResources =>
  listProxyResources(port.generators, snapshot, connection);

/** The types that `types=` can name. Secrets are for their proxy alone, so that their list is always empty. */
const typeWords: { readonly [word: string]: (resources: ProxyResources) => readonly ResourceJson[] } = {
  cds: ({ clusters }) => clusters(),
  eds: ({ endpoints }) => endpoints(),
  lds: ({ listeners }) => listeners(),
  rds: ({ routes }) => routes(),
  sds: () => [],
  ecds: () => [],
  nds: ({ nameTables }) => nameTables(),
};

/** Envoy's admin ConfigDump; with `types=cds,rds` the plain list of these resources. */
export const handleConfigDump = forProxy((request) => {
  const types = request.query.get("types");
  if (types === null) return replyJson(request, buildConfigDump(request));
  const words = types.split(",");
  const unknown = words.find((word) => !Object.hasOwn(typeWords, word));
  if (unknown !== undefined) {
    return replyText(400, `unknown type "${unknown}" (one of ${Object.keys(typeWords).join(", ")})\n`);
  }
  return replyJson(request, { configs: listTypes(request, words) });
});

export const handleEndpointDump = forProxy((request) => replyJson(request, { configs: listTypes(request, ["eds"]) }));

/** The names that the proxy's agent answers for. */
export const handleNameDump = forProxy((request) => replyJson(request, { configs: listTypes(request, ["nds"]) }));

function listTypes(request: ProxyRequest, words: readonly string[]): readonly ResourceJson[] {
  const resources = resourcesOf(request);
  return words.flatMap((word) => typeWords[word]?.(resources) ?? []);
}

/** The sections and their order are those of istiod, whose tools read them by type. */
function buildConfigDump(request: ProxyRequest): object {
  const { clusters, endpoints, listeners, routes } = resourcesOf(request);
  const section = (type: string, fields: object): object => ({
    "@type": `type.googleapis.com/envoy.admin.v3.${type}`,
    ...fields,
  });
  const withEndpoints = request.query.has("include_eds");
  return {
    configs: [
      section("BootstrapConfigDump", {}),
      section("ClustersConfigDump", { dynamicActiveClusters: clusters().map((cluster) => ({ cluster })) }),
      ...(withEndpoints
        ? [
            section("EndpointsConfigDump", {
              dynamicEndpointConfigs: endpoints().map((endpointConfig) => ({ endpointConfig })),
            }),
          ]
        : []),
      section("ListenersConfigDump", {
        dynamicListeners: listeners().map((listener) => ({ name: listener["name"], activeState: { listener } })),
      }),
      section("ScopedRoutesConfigDump", {}),
      section("RoutesConfigDump", { dynamicRouteConfigs: routes().map((routeConfig) => ({ routeConfig })) }),
      section("SecretsConfigDump", {}),
      section("EcdsConfigDump", {}),
    ],
  };
}

/** What a sidecar knows of the mesh: istiod's SidecarScope. */
export const handleSidecarScope = forProxy((request) => {
  const { port, snapshot, connection } = request;
  const { scope, workload } = deriveProxyViews(port.generators, snapshot, connection.proxy);
  const patches = listPatchMessages(port.generators.patchOutcomes?.(workload) ?? []);
  const services = scope.services.map((service) => formatService(service, snapshot.clusterId));
  const rules = scope.services.flatMap((service) => {
    const rule = scope.findDestinationRule(service);
    return rule === undefined ? [] : [[service.hostname, { from: rule.sources.map(formatObjectRef), spec: rule.spec }]];
  });
  return replyJson(request, {
    version: String(snapshot.generation),
    name: scope.sidecar?.meta.name ?? "default-sidecar",
    namespace: scope.key.namespace,
    outboundTrafficPolicy: { mode: scope.outboundTrafficPolicy },
    services,
    egressListenerServices: scope.egressListeners.map((listener) => listener.services.map(({ hostname }) => hostname)),
    servicesByHostname: Object.fromEntries(scope.services.map(({ hostname }, index) => [hostname, services[index]])),
    sidecar: scope.sidecar?.spec ?? null,
    destinationRules: Object.fromEntries(rules),
    // Ours: what is wrong with the objects as this proxy sees them, such as servers of a Gateway that were refused, or
    // patches that found nothing.
    messages: [...port.generators.messages(scope), ...patches].map(formatMessage),
  });
});
