/**
 * Which TLS a cluster speaks: what the rule says, else mutual TLS with the endpoints that take it ("auto mTLS"; Istio:
 * cluster_tls.go, rows C74-C78).
 */
import { struct } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { TransportSocket, UpstreamHttpProtocolOptions } from "@meltemi/protos/envoy/config/core/v3";
import type { ClientTls } from "../../api/destination-rule/schema.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { ProxyType } from "../../model/proxy.ts";
import type { Service } from "../../model/service.ts";
import type { ClientCertificate } from "../scope.ts";
import { buildUpstreamTlsSocket, rawBufferSocket, wrapInProxyProtocol } from "../security/transport-socket.ts";
import { buildMutualTlsContext, buildOriginatedTlsContext } from "../security/upstream.ts";

export interface TlsSituation {
  readonly service: Pick<Service, "meshExternal" | "registry">;
  readonly mesh: MeshConfig;
  readonly proxyType: ProxyType;
  readonly tls: ClientTls | undefined;
  /** True where the rule counts for selected workloads only: only then may a sidecar use a secret of its namespace. */
  readonly ruleSelectsWorkloads: boolean;
  /** True where the service's side takes mutual TLS as far as clients can know. */
  readonly takesMtls: boolean;
  /** Identities of the service's workloads and names that its owner gave. */
  readonly subjectAltNames: readonly string[];
  /** Server name for mutual TLS: what gateways between networks route by. */
  readonly sni: string;
  readonly http2: boolean;
  readonly exchangesMetadata: boolean;
  /** True where each request says which host to connect to. */
  readonly forwardsDynamically: boolean;
  /** Files that the proxy proves itself with to servers of the mesh, where it has no identity. */
  readonly ownCertificate?: ClientCertificate | undefined;
}

/** "auto": endpoints decide one by one; "fixed": one socket for all. "refused": must not be sent in plain text instead. */
export type ClusterTls =
  | { readonly kind: "plain" }
  | {
      readonly kind: "auto" | "fixed";
      readonly socket: TransportSocket;
      readonly httpOptions?: UpstreamHttpProtocolOptions;
    }
  | { readonly kind: "refused" };

const plain: ClusterTls = { kind: "plain" };
const credentialFromConfigMap = "configmap://";

export function decideClusterTls(situation: TlsSituation): ClusterTls {
  const { tls, service, mesh, ownCertificate, sni, subjectAltNames } = situation;
  if (tls !== undefined) {
    // What is outside of the mesh may want other files: there the rule's count.
    const isMutual = tls.mode === "MUTUAL" || tls.mode === "ISTIO_MUTUAL";
    const usesOwn = isMutual && ownCertificate !== undefined && !service.meshExternal;
    return buildRuleTls(situation, usesOwn ? useFiles(ownCertificate, tls) : tls);
  }
  if (service.meshExternal || !mesh.enableAutoMtls || !situation.takesMtls) return plain;
  if (ownCertificate !== undefined) return buildRuleTls(situation, useFiles(ownCertificate, { sni, subjectAltNames }));
  return { kind: "auto", socket: buildMutualSocket(situation, {}), ...buildMutualNameOptions(situation, {}) };
}

/** TLS of the cluster for hosts that no service has, as the mesh's outbound policy says. */
export function decideForwardTls(
  tls: ClientTls | undefined,
  { mesh, exchangesMetadata }: Pick<TlsSituation, "mesh" | "exchangesMetadata">,
): ClusterTls {
  if (tls === undefined) return plain;
  return buildRuleTls(
    {
      ...{ mesh, exchangesMetadata, tls },
      service: { meshExternal: true, registry: "Kubernetes" },
      // The mesh's own settings are for every sidecar.
      proxyType: "sidecar",
      ruleSelectsWorkloads: true,
      takesMtls: false,
      subjectAltNames: [],
      sni: "",
      http2: false,
      forwardsDynamically: true,
    },
    tls,
  );
}

/** The fields of a cluster for its TLS. Clusters that go to the original destination know no single endpoints. */
export function buildTransport(
  tls: Exclude<ClusterTls, { readonly kind: "refused" }>,
  proxyProtocol: "V1" | "V2" | undefined,
  knowsEndpoints: boolean,
): Pick<Cluster, "transport_socket" | "transport_socket_matches"> {
  const wrap = (socket: TransportSocket): TransportSocket =>
    proxyProtocol === undefined ? socket : wrapInProxyProtocol(socket, proxyProtocol);
  if (tls.kind === "plain") return proxyProtocol === undefined ? {} : { transport_socket: wrap(rawBufferSocket) };
  if (tls.kind === "fixed" || !knowsEndpoints) return { transport_socket: wrap(tls.socket) };
  return {
    transport_socket_matches: [
      { name: "tlsMode-istio", match: struct({ tlsMode: "istio" }), transport_socket: wrap(tls.socket) },
      { name: "tlsMode-disabled", match: {}, transport_socket: wrap(rawBufferSocket) },
    ],
  };
}

/** True where TLS is the rule's own and the proxy must not put the mesh's protocols in its place. */
export function originatesTls(tls: ClientTls | undefined): boolean {
  return tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL";
}

function buildRuleTls(situation: TlsSituation, tls: ClientTls): ClusterTls {
  if (tls.mode === "ISTIO_MUTUAL")
    return { kind: "fixed", socket: buildMutualSocket(situation, tls), ...buildMutualNameOptions(situation, tls) };
  if (!originatesTls(tls) || ignoresCredential(situation, tls)) return plain;
  const context = buildOriginatedTlsContext(tls, {
    fallbackNames: situation.service.registry === "External" ? situation.subjectAltNames : [],
    http2: situation.http2,
    tlsDefaults: situation.mesh.tlsDefaults ?? {},
  });
  if (context === undefined) return { kind: "refused" };
  return { kind: "fixed", socket: buildUpstreamTlsSocket(context), ...buildNameOptions(situation, tls) };
}

/** Mutual TLS with files, where names of the server are those given. */
function useFiles(
  { certificate, privateKey, roots }: ClientCertificate,
  { sni, subjectAltNames, insecureSkipVerify }: Pick<ClientTls, "sni" | "subjectAltNames" | "insecureSkipVerify">,
): ClientTls {
  return {
    mode: "MUTUAL",
    clientCertificate: certificate,
    privateKey,
    caCertificates: roots,
    ...(sni === undefined ? {} : { sni }),
    ...(subjectAltNames === undefined ? {} : { subjectAltNames }),
    ...(insecureSkipVerify === undefined ? {} : { insecureSkipVerify }),
  };
}

function buildMutualSocket(situation: TlsSituation, tls: ClientTls): TransportSocket {
  const { sni = "", subjectAltNames = [] } = tls;
  return buildUpstreamTlsSocket(
    buildMutualTlsContext({
      sni: sni === "" ? situation.sni : sni,
      subjectAltNames: subjectAltNames.length > 0 ? subjectAltNames : situation.subjectAltNames,
      http2: situation.http2,
      exchangesMetadata: situation.exchangesMetadata,
    }),
  );
}

/**
 * A secret named by a rule for everybody would be asked for by every sidecar of the mesh, most of which may not read it:
 * Istio then leaves TLS out on sidecars.
 */
function ignoresCredential(
  { proxyType, ruleSelectsWorkloads }: TlsSituation,
  { credentialName = "" }: ClientTls,
): boolean {
  const isSecret = credentialName !== "" && !credentialName.startsWith(credentialFromConfigMap);
  return isSecret && proxyType === "sidecar" && !ruleSelectsWorkloads;
}

/** Servers of the mesh are known by their identities; those that each request names by their names as well. */
function buildMutualNameOptions(situation: TlsSituation, tls: ClientTls): ReturnType<typeof buildNameOptions> {
  return situation.forwardsDynamically ? buildNameOptions(situation, tls) : {};
}

/**
 * Without a server name the one of each request is sent, and checked too unless the rule says what to check. Where each
 * request names its host, that is always checked: Envoy insists.
 */
function buildNameOptions(
  { forwardsDynamically }: TlsSituation,
  { sni = "", subjectAltNames = [], insecureSkipVerify = false }: ClientTls,
): { readonly httpOptions?: UpstreamHttpProtocolOptions } {
  const sendsName = sni === "";
  const checksName = !insecureSkipVerify && (forwardsDynamically || (sendsName && subjectAltNames.length === 0));
  if (!sendsName && !checksName) return {};
  return {
    httpOptions: { ...(sendsName ? { auto_sni: true } : {}), ...(checksName ? { auto_san_validation: true } : {}) },
  };
}
