/**
 * Names of Envoy resources, built and parsed in one place. They are Istio's names letter by letter, because dashboards,
 * EnvoyFilters and other control planes of the same mesh refer to them (Istio: pkg/model BuildSubsetKey and
 * BuildDNSSrvSubsetKey, networking/core getListenerName, model/gateway.go GatewayRDSRouteName).
 */
import { parseUnixPath } from "../lib/host-port.ts";

export const blackHoleCluster = "BlackHoleCluster";
export const passthroughCluster = "PassthroughCluster";
export const dynamicDnsCluster = "AllowAnyDynamicDNSCluster";
export const inboundPassthroughCluster = "InboundPassthroughCluster";

export const virtualOutboundListener = "virtualOutbound";
export const virtualInboundListener = "virtualInbound";

export const virtualOutboundBlackholeChain = "virtualOutbound-blackhole";
export const virtualOutboundCatchAllTcpChain = "virtualOutbound-catchall-tcp";
export const virtualInboundBlackholeChain = "virtualInbound-blackhole";
export const virtualInboundChain = "virtualInbound";
export const virtualInboundCatchAllHttpChain = "virtualInbound-catchall-http";
export const passthroughChain = "PassthroughFilterChain";

export const httpProxyRoute = "http_proxy";
export const allowAnyVirtualHost = "allow_any";
export const blockAllVirtualHost = "block_all";
export const dynamicDnsVirtualHost = "allow_any_dynamic_dns";

const grpcInboundPrefix = "xds.istio.io/grpc/lds/inbound/";

export type TrafficDirection = "outbound" | "inbound";

/** What the name of a cluster says. `subset` is "" for the whole service; `hostname` is "" for inbound clusters. */
export interface ClusterName {
  readonly direction: TrafficDirection;
  readonly port: number;
  readonly subset: string;
  readonly hostname: string;
  /** True for the form that fits into a server name (`outbound_.80_.v1_.host`). */
  readonly dnsSrv: boolean;
}

/** `outbound|80|v1|host`; `subset` is "" for the whole service. */
export function buildOutboundClusterName(hostname: string, port: number, subset = ""): string {
  return `outbound|${port}|${subset}|${hostname}`;
}

/** `outbound_.80_.v1_.host`: the server name of mutual TLS and the clusters that gateways pick by it. */
export function buildDnsSrvClusterName(hostname: string, port: number, subset = ""): string {
  return `outbound_.${port}_.${subset}_.${hostname}`;
}

/** `inbound|9080||`, where the port is the workload's own. */
export function buildInboundClusterName(targetPort: number): string {
  return `inbound|${targetPort}||`;
}

/** Parses a cluster name of either form; undefined where it is no name of a service's cluster. */
export function parseClusterName(name: string): ClusterName | undefined {
  const dnsSrv = name.startsWith("outbound_.") || name.startsWith("inbound_.");
  const parts = dnsSrv ? name.split("_.") : name.split("|");
  const [direction, portText = "", subset = ""] = parts;
  if (direction !== "outbound" && direction !== "inbound") return undefined;
  if (parts.length < 4 || !/^\d{1,5}$/.test(portText)) return undefined;
  // A hostname may itself hold the separator of the DNS form; the parts before it may not.
  const hostname = parts.slice(3).join(dnsSrv ? "_." : "|");
  return { direction, port: Number(portText), subset, hostname, dnsSrv };
}

/** `0.0.0.0_8080`; also `::_8080`. */
export function buildListenerName(bind: string, port: number): string {
  return `${bind}_${port}`;
}

/** What the name of an outbound route configuration of a sidecar says. */
export type OutboundRouteName =
  | { readonly kind: "port"; readonly port: number }
  | { readonly kind: "service"; readonly hostname: string; readonly port: number }
  | { readonly kind: "httpProxy" }
  | { readonly kind: "socket"; readonly path: string };

/** `80`: all services of a port. */
export function buildPortRouteName(port: number): string {
  return String(port);
}

/** `host:80`: one service whose protocol the proxy finds out by itself. */
export function buildServiceRouteName(hostname: string, port: number): string {
  return `${hostname}:${port}`;
}

/** Parses a route name that a sidecar asks for; undefined where it is none of Istio's forms. */
export function parseOutboundRouteName(name: string): OutboundRouteName | undefined {
  if (name === httpProxyRoute) return { kind: "httpProxy" };
  const path = parseUnixPath(name);
  if (path !== undefined) return { kind: "socket", path };
  if (/^\d{1,5}$/.test(name)) return { kind: "port", port: Number(name) };
  const at = name.lastIndexOf(":");
  const port = name.slice(at + 1);
  if (at <= 0 || !/^\d{1,5}$/.test(port)) return undefined;
  return { kind: "service", hostname: name.slice(0, at), port: Number(port) };
}

/** `inbound|http|9080`, where the port is that of the service. */
export function buildInboundVirtualHostName(servicePort: number): string {
  return `inbound|http|${servicePort}`;
}

/** `host:80` */
export function buildVirtualHostName(hostname: string, port: number): string {
  return `${hostname}:${port}`;
}

/** `blackhole:80`: the virtual host of a gateway's port on which nothing is routed. */
export function buildBlackholeVirtualHostName(port: number): string {
  return `blackhole:${port}`;
}

/** The server of a Gateway that an HTTPS route configuration belongs to. */
export interface GatewayServerName {
  readonly portName: string;
  readonly gatewayName: string;
  readonly gatewayNamespace: string;
}

/** `http.80`, with `.bind` at the end where the server names an address to bind to. */
export function buildGatewayHttpRouteName(port: number, bind = ""): string {
  return bind === "" ? `http.${port}` : `http.${port}.${bind}`;
}

/** `https.443.portName.gatewayName.gatewayNamespace`, with `.bind` where the server names an address to bind to. */
export function buildGatewayHttpsRouteName(port: number, server: GatewayServerName, bind = ""): string {
  const name = `https.${port}.${server.portName}.${server.gatewayName}.${server.gatewayNamespace}`;
  return bind === "" ? name : `${name}.${bind}`;
}

/** Splits `host:port` as gRPC clients name listeners; undefined where there is no port. */
export function parseHostPort(name: string): { readonly hostname: string; readonly port: number } | undefined {
  const match = /^(?:\[(.+)\]|(.+)):(\d{1,5})$/.exec(name);
  const hostname = match?.[1] ?? match?.[2];
  return hostname === undefined ? undefined : { hostname, port: Number(match?.[3]) };
}

/** Address and port of a proxyless gRPC server's listener (`xds.istio.io/grpc/lds/inbound/<ip>:<port>`); undefined for other names. */
export function parseGrpcInboundListenerName(
  name: string,
): { readonly address: string; readonly port: number } | undefined {
  if (!name.startsWith(grpcInboundPrefix)) return undefined;
  const parsed = parseHostPort(name.slice(grpcInboundPrefix.length));
  return parsed === undefined ? undefined : { address: parsed.hostname, port: parsed.port };
}
