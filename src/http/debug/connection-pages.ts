/** Pages about connected proxies: who they are, what they watch and what they have taken. */
import { formatInstant } from "../../lib/clock.ts";
import { formatLocality } from "../../model/endpoint.ts";
import type { ConnectionView, WatchView } from "../ports.ts";
import { type DebugHandler, replyJson, replyText } from "./reply.ts";
import { typeUrls } from "./type-urls.ts";

/** {totalClients, clients: [{connectionId, connectedAt, address}]} */
export const handleConnections: DebugHandler = (request) => {
  const clients = request.port.listConnections().map(formatConnection);
  return replyJson(request, { totalClients: clients.length, clients });
};

function formatConnection({ connectionId, connectedAtMs, address }: ConnectionView): object {
  return { connectionId, connectedAt: formatInstant(connectedAtMs), address };
}

/** Connections with what they watch; `push=true` sends everybody everything, `proxyID` names one proxy. */
export const handleAds: DebugHandler = (request) => {
  const { query, port } = request;
  if (query.get("push") === "true") return replyText(200, `Pushed to ${port.pushAll()} servers\n`);
  const wanted = query.get("proxyID");
  const connections = port
    .listConnections()
    .filter(({ connectionId }) => wanted === null || connectionId.includes(wanted));
  if (wanted !== null && connections.length === 0) return replyText(404, notConnected);
  const clients = connections.map((connection) => ({
    ...formatConnection(connection),
    labels: connection.proxy.labels,
    metadata: connection.proxy.metadata,
    locality: formatLocality(connection.proxy.locality),
    watches: Object.fromEntries([...connection.watches].map(([typeUrl, { names }]) => [typeUrl, names])),
  }));
  return replyJson(request, { totalClients: clients.length, clients });
};

/** istiod's answer for a proxy that is not here; tools show it as it is. */
export const notConnected = "Proxy not connected to this Pilot instance. It may be connected to another instance.\n";

const shortTypes = {
  cluster: typeUrls.cluster,
  listener: typeUrls.listener,
  route: typeUrls.route,
  endpoint: typeUrls.endpoint,
  extensionconfig: typeUrls.extensionConfig,
} as const;

/** What each proxy was sent and has taken; `namespace` narrows it. */
export const handleSync: DebugHandler = (request) => {
  const namespace = request.query.get("namespace");
  const statuses = request.port
    .listConnections()
    .filter(({ proxy }) => namespace === null || proxy.namespace === namespace)
    .sort(compareBySyncOrder)
    .map(formatSyncStatus);
  return replyJson(request, statuses);
};

function compareBySyncOrder(a: ConnectionView, b: ConnectionView): number {
  const [keyA, keyB] = [a, b].map(({ proxy }) => `${proxy.clusterId}\0${proxy.namespace}\0${proxy.id}`);
  if (keyA === keyB || keyA === undefined || keyB === undefined) return 0;
  return keyA < keyB ? -1 : 1;
}

function formatSyncStatus({ proxy, watches }: ConnectionView): object {
  const pairs = Object.entries(shortTypes).flatMap(([word, typeUrl]) => {
    const watch = watches.get(typeUrl);
    return [
      [`${word}_sent`, watch?.nonceSent ?? ""],
      [`${word}_acked`, watch?.nonceAcked ?? ""],
    ];
  });
  const { istioVersion } = proxy;
  const status = {
    cluster_id: proxy.clusterId,
    proxy: proxy.id,
    proxy_type: proxy.type,
    proxy_version: proxy.userAgent,
    istio_version:
      istioVersion === undefined ? "" : `${istioVersion.major}.${istioVersion.minor}.${istioVersion.patch}`,
    ...Object.fromEntries(pairs),
  };
  // Like Go's omitempty: what has no value is left out.
  const known = Object.fromEntries(Object.entries(status).filter(([, value]) => value !== ""));
  return {
    ...known,
    resources: Object.fromEntries([...watches].map(([typeUrl, watch]) => [typeUrl, formatWatch(watch)])),
  };
}

function formatWatch(watch: WatchView): object {
  return {
    sent: watch.nonceSent,
    acked: watch.nonceAcked,
    ...(watch.sentAtMs === undefined ? {} : { sentTime: formatInstant(watch.sentAtMs) }),
    ...(watch.lastError === "" ? {} : { lastError: watch.lastError }),
  };
}
