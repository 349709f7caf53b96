/** Listeners of gRPC processes that read xDS themselves (Istio: networking/grpcgen/lds.go, rows X70-X72). */

import { bool, packAny } from "@meltemi/protos";
import type { FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type {
  HttpConnectionManager,
  HttpFilter,
} from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { evaluateMtls, modeOfPort } from "../../model/mtls.ts";
import { unspecifiedAddress } from "../../model/service.ts";
import { tlsModeLabel } from "../../model/workload-labels.ts";
import { buildAddress } from "../address.ts";
import type { Built } from "../built.ts";
import { buildOutboundClusterName, parseGrpcInboundListenerName } from "../names.ts";
import type { ScopeView, WorkloadView } from "../scope.ts";
import { buildDownstreamTlsSocket } from "../security/transport-socket.ts";
import { findRequestedPort } from "./requested-name.ts";
import { buildGrpcTlsContext } from "./tls.ts";

const managerType = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

const routerFilter: HttpFilter = {
  name: "envoy.filters.http.router",
  typed_config: packAny("envoy.extensions.filters.http.router.v3.Router", {}),
};
const faultFilter: HttpFilter = {
  name: "envoy.filters.http.fault",
  typed_config: packAny("envoy.extensions.filters.http.fault.v3.HTTPFault", {}),
};

/** The listener that a client asks for as "host:port"; undefined where the scope has no such service and port. */
export function buildClientListener(view: ScopeView, name: string): Built<Listener> | undefined {
  const found = findRequestedPort(view, name);
  if (found === undefined) return undefined;
  const { service, port } = found;
  const manager: HttpConnectionManager = {
    http_filters: [faultFilter, routerFilter],
    rds: {
      config_source: { ads: {}, resource_api_version: "V3" },
      // The name is that of a cluster: it says host and port, and no other kind of proxy asks for routes by it.
      route_config_name: buildOutboundClusterName(service.hostname, port.number),
    },
  };
  const address = service.addresses[0] ?? unspecifiedAddress;
  const message: Listener = {
    name,
    address: buildAddress(address, port.number),
    api_listener: { api_listener: packAny(managerType, manager) },
  };
  return { name, message, sources: [service.object] };
}

/** The listener of a server, by name "xds.istio.io/grpc/lds/inbound/<ip>:<port>"; undefined where no service is there. */
export function buildServerListener(view: WorkloadView, name: string): Built<Listener> | undefined {
  const place = parseGrpcInboundListenerName(name);
  const found = view.targets.find(({ target }) => target.targetPort === place?.port);
  if (place === undefined || found === undefined) return undefined;
  const message: Listener = {
    name,
    address: buildAddress(place.address, place.port),
    filter_chains: [takesMutualTls(view, place.port) ? mutualTlsChain : plainChain],
  };
  return { name, message, sources: [found.service.object] };
}

/**
 * gRPC servers cannot take both: where clients are told to speak mutual TLS to the workload, PERMISSIVE means STRICT,
 * otherwise plain text.
 */
function takesMutualTls({ scope, key }: WorkloadView, port: number): boolean {
  const { peerAuthentications, mesh } = scope.snapshot;
  const { namespace } = scope.key;
  const modes = evaluateMtls(peerAuthentications, { namespace, labels: key.labels, rootNamespace: mesh.rootNamespace });
  const mode = modeOfPort(modes, port);
  return mode === "STRICT" || (mode === "PERMISSIVE" && key.labels[tlsModeLabel] === "istio");
}

const plainChain = buildServerChain("plaintext");
const mutualTlsChain: FilterChain = {
  ...buildServerChain("mtls"),
  // gRPC servers do not check names of clients, so the mesh's roots alone decide.
  transport_socket: buildDownstreamTlsSocket({
    common_tls_context: buildGrpcTlsContext([]),
    require_client_certificate: bool(true),
  }),
};

function buildServerChain(suffix: string): FilterChain {
  const manager: HttpConnectionManager = {
    http_filters: [routerFilter],
    route_config: {
      name: "inbound",
      virtual_hosts: [{ domains: ["*"], routes: [{ match: { prefix: "/" }, non_forwarding_action: {} }] }],
    },
  };
  return {
    name: `inbound-${suffix}`,
    filters: [{ name: `inbound-hcm${suffix}`, typed_config: packAny(managerType, manager) }],
  };
}
