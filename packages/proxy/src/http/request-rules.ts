/**
 * What becomes of a request's head before the filters see it: who the client is, which headers it may bring along, and what
 * this proxy adds. Envoy's ConnectionManagerUtility, described in its documentation of HTTP header manipulation.
 */
import { randomUUID } from "node:crypto";
import type { LogEntry } from "../access-log/types.ts";
import type { Address, DownstreamConnection } from "../listeners/connection.ts";
import { isLoopback } from "../listeners/same-host.ts";
import { type DetectClient, findForwardedFor } from "./client-address.ts";
import { applyClientCertificate, type ClientCertificateOptions } from "./client-certificate.ts";
import type { LocalReply } from "./exchange.ts";
import type { HeaderList } from "./header-list.ts";
import { applyHostRules, type HostOptions } from "./host-rules.ts";
import type { HttpRequest } from "./message.ts";
import { applyPathRules, type PathOptions } from "./path-rules.ts";
import type { StreamInfo } from "./stream-info.ts";

export interface RequestRules {
  readonly path: PathOptions;
  readonly host: HostOptions;
  readonly usesRemoteAddress: boolean;
  readonly trustedHops: number;
  readonly appendsForwardedFor: boolean;
  readonly mapsIpv4: boolean;
  readonly appendsPort: boolean;
  /** For connections whose peer is not taken for the client. */
  readonly detectClient: DetectClient;
  readonly isInternal: (ip: string) => boolean;
  readonly localAddress: string;
  readonly scheme: "http" | "https" | undefined;
  readonly userAgent: { readonly cluster: string; readonly node: string } | undefined;
  readonly via: string;
  readonly generatesRequestId: boolean;
  readonly preservesRequestId: boolean;
  readonly certificate: ClientCertificateOptions;
  readonly early: readonly ((headers: HeaderList, entry: LogEntry) => void)[];
}

/** Headers that steer the router: taken from requests that come from outside. */
const internalOnly = new Set([
  "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names",
  "x-envoy-retry-on",
  "x-envoy-retry-grpc-on",
  "x-envoy-max-retries",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-ip-tags",
  "x-envoy-original-url",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-upstream-stream-duration-ms",
]);
/** What the first proxy of a mesh does not take from its clients in addition. */
const edgeOnly = new Set([
  "x-envoy-decorator-operation",
  "x-envoy-downstream-service-cluster",
  "x-envoy-downstream-service-node",
  "x-envoy-original-path",
]);

const absolutePath: LocalReply = { status: 404, body: "", details: "absolute_path_rejected" };
const noScheme: LocalReply = { status: 404, body: "", flags: ["NR"], details: "route_not_found" };

export interface RulesTarget {
  readonly request: HttpRequest;
  readonly info: StreamInfo;
  readonly connection: DownstreamConnection;
  /** True where the request itself names its scheme: in HTTP/2, and in an absolute target. */
  readonly namesScheme: boolean;
}

/** Changes the head of a request. The answer in place of the filters' where it is refused or redirected. */
export function applyRequestRules(
  rules: RequestRules,
  target: RulesTarget,
  internalOnlyHeaders: readonly string[] | undefined,
): LocalReply | undefined {
  const { request, info, connection } = target;
  const refusal = applyTargetRules(rules, request, connection);
  if (refusal !== undefined) return refusal;
  for (const mutate of rules.early) mutate(request.headers, { info, request });
  const { headers } = request;
  headers.remove("x-envoy-internal");
  const client = rules.usesRemoteAddress ? trustPeer(rules, target) : trustHeaders(rules, target);
  if (client.reply !== undefined) return client.reply;
  // For a request that says so little Envoy finds no route, whatever routes there are.
  if (applyScheme(rules, target) === "") return noScheme;
  const { address } = client;
  const isInternal = client.isSole && address !== undefined && rules.isInternal(address.ip);
  if (address !== undefined && address !== connection.remoteAddress) info.remoteAddress = address;
  const isEdge = !isInternal && rules.usesRemoteAddress;
  if (isInternal) headers.append("x-envoy-internal", "true");
  else clean(headers, isEdge, internalOnlyHeaders);
  if (rules.userAgent !== undefined) addUserAgent(headers, rules.userAgent);
  if (rules.via !== "") appendVia(headers, rules.via);
  if (isEdge) headers.set("x-envoy-external-address", (address ?? connection.remoteAddress).ip);
  if (rules.generatesRequestId) applyRequestId(headers, isEdge && !rules.preservesRequestId);
  applyClientCertificate(headers, connection.tls, rules.certificate);
  info.requestId = headers.get("x-request-id") ?? "";
  return undefined;
}

function applyTargetRules(
  rules: RequestRules,
  request: HttpRequest,
  connection: DownstreamConnection,
): LocalReply | undefined {
  if (request.path !== "" || request.upgrade !== "connect") {
    const result = request.path.startsWith("/") ? applyPathRules(request.path, rules.path) : { reply: absolutePath };
    if ("reply" in result) {
      return result.reply;
    }
    request.path = result.path;
  }
  if (request.upgrade !== "connect") {
    request.authority = applyHostRules(request.authority, rules.host, connection.localAddress.port);
  }
  return undefined;
}

interface Client {
  readonly address: Address | undefined;
  readonly isSole: boolean;
  readonly reply?: LocalReply;
}

/** use_remote_address: the peer is the client, or so many proxies before it are trusted. */
function trustPeer(rules: RequestRules, target: RulesTarget): Client {
  const { connection } = target;
  const { headers } = target.request;
  const peer = connection.remoteAddress;
  const forwarded = headers.joined("x-forwarded-for");
  const { trustedHops: hops } = rules;
  const named = hops > 0 ? findForwardedFor(forwarded, hops - 1).address : undefined;
  if (rules.appendsForwardedFor) appendForwardedFor(rules, headers, { forwarded, peer });
  if (hops === 0 || !headers.has("x-forwarded-proto")) {
    headers.set("x-forwarded-proto", connection.tls === undefined ? "http" : "https");
  }
  applyForwardedPort(rules, target, hops > 0);
  return { address: named ?? peer, isSole: forwarded === undefined };
}

function appendForwardedFor(
  { mapsIpv4, localAddress }: RequestRules,
  headers: HeaderList,
  { forwarded, peer }: { readonly forwarded: string | undefined; readonly peer: Address },
): void {
  // A Unix socket has no address that could be named.
  if (peer.ip.includes("/")) return;
  const ip = isLoopback(peer.ip) ? localAddress : peer.ip;
  const text = mapsIpv4 && !ip.includes(":") ? `::ffff:${ip}` : ip;
  headers.set("x-forwarded-for", forwarded === undefined || forwarded === "" ? text : `${forwarded},${text}`);
}

/** Proxies before this one have named the client and how it came: what they say stays, and what is not said is added. */
function trustHeaders(rules: RequestRules, target: RulesTarget): Client {
  const { request, connection } = target;
  const { headers } = request;
  const found = rules.detectClient(request);
  if (!headers.has("x-forwarded-proto")) {
    headers.append("x-forwarded-proto", connection.tls === undefined ? "http" : "https");
  }
  applyForwardedPort(rules, target, true);
  return found;
}

/** append_x_forwarded_port. */
function applyForwardedPort(
  { appendsPort }: RequestRules,
  { request, connection }: RulesTarget,
  isTrusted: boolean,
): void {
  const { headers } = request;
  if (!appendsPort || (isTrusted && headers.has("x-forwarded-port"))) return;
  headers.set("x-forwarded-port", String(connection.localAddress.port));
}

/** The scheme is what x-forwarded-proto says, where that is one; scheme_to_overwrite sets both. What that header says. */
function applyScheme(rules: RequestRules, { request, namesScheme }: RulesTarget): string | undefined {
  if (rules.scheme !== undefined) {
    request.scheme = rules.scheme;
    request.headers.set("x-forwarded-proto", rules.scheme);
    return rules.scheme;
  }
  const forwarded = request.headers.get("x-forwarded-proto");
  if (!namesScheme && (forwarded === "http" || forwarded === "https")) request.scheme = forwarded;
  return forwarded;
}

function clean(headers: HeaderList, isEdge: boolean, routeHeaders: readonly string[] | undefined): void {
  const { raw } = headers;
  for (let index = raw.length - 2; index >= 0; index -= 2) {
    const name = raw[index] ?? "";
    if (!name.startsWith("x-envoy-")) continue;
    if (internalOnly.has(name) || (isEdge && edgeOnly.has(name))) raw.splice(index, 2);
  }
  for (const name of routeHeaders ?? []) headers.remove(name.toLowerCase());
}

function addUserAgent(
  headers: HeaderList,
  { cluster, node }: { readonly cluster: string; readonly node: string },
): void {
  headers.set("x-envoy-downstream-service-cluster", cluster);
  if ((headers.get("user-agent") ?? "") === "") headers.set("user-agent", cluster);
  if (node !== "") headers.set("x-envoy-downstream-service-node", node);
}

export function appendVia(headers: HeaderList, via: string): void {
  const before = headers.joined("via");
  headers.set("via", before === undefined || before === "" ? via : `${before}, ${via}`);
}

function applyRequestId(headers: HeaderList, mustBeNew: boolean): void {
  if (mustBeNew || !headers.has("x-request-id")) headers.set("x-request-id", randomUUID());
}
