/** All debug pages in the order in which the index shows them. */
import { handleClusters, handleConfig, handleMesh, handleNetworks, handleResources } from "./config-pages.ts";
import { handleAds, handleConnections, handleSync } from "./connection-pages.ts";
import { handleEnvoyFilters } from "./envoy-filter-page.ts";
import { handleConfigDump, handleEndpointDump, handleNameDump, handleSidecarScope } from "./proxy-pages.ts";
import { handleCache, handlePushStatus } from "./push-pages.ts";
import { handleEndpoints, handleInstances, handleRegistry } from "./registry-pages.ts";
import { type DebugHandler, replyJson } from "./reply.ts";

export interface DebugPage {
  /** Below /debug/. */
  readonly path: string;
  readonly help: string;
  readonly handle: DebugHandler;
  /** Further links for the index: a query and what it does. */
  readonly variants?: readonly { readonly query: string; readonly help: string }[];
}

const handleList: DebugHandler = (request) =>
  replyJson(
    request,
    debugPages
      .map(({ path }) => path)
      .filter((path) => path !== "list")
      .sort(),
  );

export const debugPages: readonly DebugPage[] = [
  { path: "registryz", help: "All services of the mesh", handle: handleRegistry },
  { path: "endpointz", help: "All endpoints, by service and source", handle: handleEndpoints },
  { path: "endpointShardz", help: "All endpoints, by service and source", handle: handleEndpoints },
  { path: "instancesz", help: "The services that each connected proxy serves", handle: handleInstances },
  { path: "configz", help: "All configuration objects as they are served", handle: handleConfig },
  { path: "resourcesz", help: "Kinds of configuration that are watched", handle: handleResources },
  { path: "mesh", help: "Settings of the mesh", handle: handleMesh },
  { path: "networkz", help: "Gateways to other networks", handle: handleNetworks },
  { path: "clusterz", help: "Remote clusters that endpoints are read from", handle: handleClusters },
  {
    path: "syncz",
    help: "What each proxy was sent and has taken",
    handle: handleSync,
    variants: [{ query: "namespace=bookinfo", help: "The same for one namespace" }],
  },
  {
    path: "adsz",
    help: "Connected proxies and what they watch",
    handle: handleAds,
    variants: [{ query: "push=true", help: "Sends all proxies what they watch" }],
  },
  { path: "connections", help: "Connected proxies", handle: handleConnections },
  {
    path: "config_dump",
    help: "Configuration of one proxy (proxyID=...) in the form of Envoy's own config dump",
    handle: handleConfigDump,
  },
  { path: "edsz", help: "Endpoints of one proxy (proxyID=...)", handle: handleEndpointDump },
  { path: "ndsz", help: "Names that the agent of one proxy (proxyID=...) answers for", handle: handleNameDump },
  {
    path: "sidecarz",
    help: "What one proxy (proxyID=...) knows of the mesh, and what is wrong in it",
    handle: handleSidecarScope,
  },
  {
    path: "envoyfilterz",
    help: "Patches of EnvoyFilters and what became of them",
    handle: handleEnvoyFilters,
  },
  {
    path: "cachez",
    help: "Resources that are kept encoded",
    handle: handleCache,
    variants: [
      { query: "sizes=true", help: "Their sizes, by type" },
      { query: "clear=true", help: "Forgets them" },
    ],
  },
  { path: "push_status", help: "What is noticeable about the mesh as a whole", handle: handlePushStatus },
  { path: "list", help: "Names of all these pages", handle: handleList },
];
