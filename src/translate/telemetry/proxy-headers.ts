/**
 * Headers that a proxy adds or leaves out, from ProxyConfig.proxyHeaders (Istio: networking/core, GetProxyHeaders).
 */
import { bool } from "@meltemi/protos";
import type {
  HttpConnectionManager,
  HttpConnectionManager_ForwardClientCertDetails,
} from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { MeshConfig, ProxyConfig } from "../../api/mesh-config/schema.ts";
import type { ListenerClass } from "../network-filters/filter-facts.ts";

/** Value of the server header on the inbound side and on gateways; the outbound side keeps Envoy's own. */
const istioServerName = "istio-envoy";

type Settings = NonNullable<ProxyConfig["proxyHeaders"]>;
type CertSettings = NonNullable<Settings["setCurrentClientCertDetails"]>;

export interface ProxyHeaders {
  readonly connectionManager: HttpConnectionManager;
  /** Fields for the inbound side: what X-Forwarded-Client-Cert says. */
  readonly clientCert: HttpConnectionManager;
  readonly suppressesDebugHeaders: boolean;
  /** Whether metadata exchange leaves its headers out of requests to hosts outside the mesh. */
  readonly meshOnlyMetadataHeaders: boolean;
  readonly preservesHeaderCase: boolean;
}

export function deriveProxyHeaders(mesh: MeshConfig, listenerClass: ListenerClass): ProxyHeaders {
  const settings: Settings = mesh.defaultConfig.proxyHeaders ?? {};
  const requestId = settings.requestId?.disabled === true ? { generate_request_id: bool(false) } : {};
  return {
    connectionManager: {
      ...buildServer(settings, listenerClass),
      ...requestId,
      ...(settings.xForwardedPort?.enabled === true ? { append_x_forwarded_port: true } : {}),
    },
    clientCert: {
      forward_client_cert_details: forwardedClientCert(settings),
      set_current_client_cert_details: buildCertDetails(settings.setCurrentClientCertDetails ?? {}),
    },
    suppressesDebugHeaders: settings.envoyDebugHeaders?.disabled === true,
    meshOnlyMetadataHeaders: settings.metadataExchangeHeaders?.mode === "IN_MESH",
    preservesHeaderCase: settings.preserveHttp1HeaderCase === true,
  };
}

function buildServer({ server }: Settings, listenerClass: ListenerClass): HttpConnectionManager {
  if (server?.disabled === true) return { server_header_transformation: "PASS_THROUGH" };
  const { value = "" } = server ?? {};
  if (value !== "") return { server_name: value };
  return listenerClass === "sidecarOutbound" ? {} : { server_name: istioServerName };
}

function forwardedClientCert({ forwardedClientCert: mode }: Settings): HttpConnectionManager_ForwardClientCertDetails {
  return mode === undefined || mode === "UNDEFINED" ? "APPEND_FORWARD" : mode;
}

/** Subject, URI and DNS names unless somebody turns them off; certificate and chain only where somebody asks for them. */
function buildCertDetails({ subject = true, uri = true, dns = true, cert = false, chain = false }: CertSettings) {
  return {
    subject: bool(subject),
    ...(cert ? { cert } : {}),
    ...(dns ? { dns } : {}),
    ...(uri ? { uri } : {}),
    ...(chain ? { chain } : {}),
  };
}
