/**
 * All Gateways of a proxy as one: which servers share a listener, which are refused, and which route configurations
 * there are. Rules: Istio model/gateway.go mergeGateways; a refused server never takes others with it.
 */
import type { Gateway, Server } from "../../api/gateway/schema.ts";
import { refOf } from "../../api/object.ts";
import type { Message } from "../../lib/message.ts";
import { type Protocol, parseProtocol } from "../../lib/protocol.ts";
import type { PartSource } from "../built.ts";
import { buildGatewayHttpRouteName, buildGatewayHttpsRouteName, buildListenerName } from "../names.ts";
import {
  formatServerHost,
  indexServerHosts,
  listServerNames,
  parseServerHosts,
  type ServerHost,
  type ServerHostIndex,
} from "./server-hosts.ts";
import { classifyServer, isTlsKind, type ServerKind } from "./server-kind.ts";

/** One server of a Gateway with its place. */
export interface MergedServer {
  readonly server: Server;
  /** "namespace/name" of its Gateway. */
  readonly gateway: string;
  readonly kind: ServerKind;
  readonly protocol: Protocol;
  readonly hosts: readonly ServerHost[];
  readonly hostIndex: ServerHostIndex;
  /** Hosts without namespaces, sorted: what TLS handshakes name. */
  readonly serverNames: readonly string[];
  /** Name of its route configuration; undefined where the proxy does not speak HTTP for it. */
  readonly routeName: string | undefined;
  /** True where the server is there over HTTP/3 as well. */
  readonly offersHttp3: boolean;
  readonly source: PartSource;
}

/** A listener and the servers behind it. */
export interface MergedListener {
  readonly name: string;
  readonly bind: string;
  /** True where no server names an address: then proxies with both IP families may listen by both. */
  readonly takesAllAddresses: boolean;
  /** Port of the proxy itself. */
  readonly port: number;
  /** Oldest Gateway first, but servers of one protocol together. Either all are plain HTTP, or one is plain TCP, or all start with TLS. */
  readonly servers: readonly MergedServer[];
}

export interface MergedGateways {
  /** In the order in which Gateways name them. */
  readonly listeners: readonly MergedListener[];
  readonly serversByRoute: ReadonlyMap<string, readonly MergedServer[]>;
  /** What was refused and why. */
  readonly messages: readonly Message[];
}

export interface MergeOptions {
  /** See derivePortMap. */
  readonly ports: ReadonlyMap<number, number>;
  /** Address of servers that name none: "0.0.0.0" or "::". */
  readonly defaultBind: string;
  /** Ports (of services) on which HTTPS servers offer HTTP/3; empty where the operator has not asked for it. */
  readonly http3Ports: ReadonlySet<number>;
}

interface MergeState {
  readonly listeners: Map<string, ListenerDraft>;
  readonly serversByRoute: Map<string, MergedServer[]>;
  readonly messages: Message[];
}

interface ListenerDraft {
  readonly bind: string;
  readonly takesAllAddresses: boolean;
  readonly port: number;
  readonly servers: MergedServer[];
  /** Hosts of servers with TLS settings: Envoy refuses a listener where two chains have the same server name. */
  readonly takenHosts: Set<string>;
}

/** Merges Gateways in their order (oldest first) and their servers as they stand. */
export function mergeServers(gateways: readonly Gateway[], options: MergeOptions): MergedGateways {
  const state: MergeState = { listeners: new Map(), serversByRoute: new Map(), messages: [] };
  for (const gateway of gateways) {
    for (const [index, server] of (gateway.spec.servers ?? []).entries()) {
      addServer(state, describeServer(gateway, server, index), options);
    }
  }
  const listeners = [...state.listeners].map(([name, { takenHosts: _taken, servers, ...listener }]) => {
    return { name, ...listener, servers: groupByProtocol(servers) };
  });
  return { listeners, serversByRoute: state.serversByRoute, messages: state.messages };
}

/** Istio keeps servers of a port by their protocol as it is written; filter chains stand in this order. */
function groupByProtocol(servers: readonly MergedServer[]): readonly MergedServer[] {
  return [...Map.groupBy(servers, ({ server }) => server.port.protocol).values()].flat();
}

function describeServer(gateway: Gateway, server: Server, index: number): MergedServer {
  const { namespace, name } = gateway.meta;
  const hosts = parseServerHosts(server.hosts, namespace);
  return {
    server,
    gateway: `${namespace}/${name}`,
    kind: classifyServer(server),
    protocol: parseProtocol(server.port.protocol),
    hosts,
    hostIndex: indexServerHosts(hosts),
    serverNames: listServerNames(hosts),
    routeName: undefined,
    offersHttp3: false,
    source: { object: refOf(gateway), path: `spec.servers[${index}]` },
  };
}

function addServer(state: MergeState, merged: MergedServer, { ports, defaultBind, http3Ports }: MergeOptions): void {
  const { server } = merged;
  const takesAllAddresses = server.bind === undefined || server.bind === "";
  const bind = takesAllAddresses ? defaultBind : (server.bind ?? "");
  const port = ports.get(server.port.number) ?? server.port.number;
  const name = buildListenerName(bind, port);
  const draft = state.listeners.get(name) ?? {
    bind,
    takesAllAddresses,
    port,
    servers: [],
    takenHosts: new Set<string>(),
  };
  const offersHttp3 = merged.kind === "https" && http3Ports.has(server.port.number);
  const placed = { ...merged, routeName: nameRoutes(merged, draft), offersHttp3 };
  const refusal = findRefusal(placed, draft, state.serversByRoute);
  if (refusal !== undefined) {
    state.messages.push({ level: "error", object: merged.source.object, path: merged.source.path, ...refusal });
    return;
  }
  for (const host of listTakenHosts(placed)) draft.takenHosts.add(host);
  draft.servers.push(placed);
  state.listeners.set(name, draft);
  if (placed.routeName === undefined) return;
  const sharing = state.serversByRoute.get(placed.routeName);
  if (sharing === undefined) state.serversByRoute.set(placed.routeName, [placed]);
  else sharing.push(placed);
}

/** Plain HTTP servers of a listener share one configuration; each HTTPS server has its own, for its own hosts only. */
function nameRoutes({ kind, server, source }: MergedServer, draft: ListenerDraft): string | undefined {
  if (kind === "http") return draft.servers[0]?.routeName ?? buildGatewayHttpRouteName(draft.port, server.bind);
  if (kind !== "https") return undefined;
  const { namespace: gatewayNamespace, name: gatewayName } = source.object;
  const names = { portName: server.port.name, gatewayName, gatewayNamespace };
  return buildGatewayHttpsRouteName(server.port.number, names, server.bind);
}

function findRefusal(
  merged: MergedServer,
  draft: ListenerDraft,
  serversByRoute: ReadonlyMap<string, unknown>,
): Pick<Message, "code" | "text"> | undefined {
  const { kind, routeName, server } = merged;
  const where = `port ${draft.port} of ${draft.bind}`;
  const [first] = draft.servers;
  if (first !== undefined && !canShare(first.kind, kind)) {
    const text = `${server.port.protocol} cannot share ${where} with ${describe(first)}, which came first`;
    return { code: "gateway-port-conflict", text };
  }
  const duplicates = listTakenHosts(merged).filter((host) => draft.takenHosts.has(host));
  if (duplicates.length > 0) {
    const text = `another server on ${where} already has ${duplicates.join(", ")}; TLS tells servers apart by host alone`;
    return { code: "gateway-duplicate-host", text };
  }
  if (kind === "https" && routeName !== undefined && serversByRoute.has(routeName)) {
    const text = `another HTTPS server of this Gateway has port name "${server.port.name}"; names of HTTPS ports must differ`;
    return { code: "gateway-duplicate-port-name", text };
  }
  return undefined;
}

function canShare(first: ServerKind, next: ServerKind): boolean {
  return isTlsKind(first) ? isTlsKind(next) : first === "http" && next === "http";
}

/** Servers with TLS are told apart by server name alone; redirects to HTTPS may be stated once for each host. */
function listTakenHosts({ kind, server, hosts, serverNames }: MergedServer): readonly string[] {
  if (isTlsKind(kind)) return serverNames;
  return server.tls === undefined ? [] : hosts.map(formatServerHost);
}

function describe({ server, gateway }: MergedServer): string {
  return `the ${server.port.protocol} server "${server.port.name}" of Gateway ${gateway}`;
}
