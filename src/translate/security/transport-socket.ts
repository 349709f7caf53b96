import { packAny } from "@meltemi/protos";
import type { TransportSocket } from "@meltemi/protos/envoy/config/core/v3";
import type {
  DownstreamTlsContext,
  UpstreamTlsContext,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";

export const tlsSocketName = "envoy.transport_sockets.tls";
export const quicSocketName = "envoy.transport_sockets.quic";
const rawBufferSocketName = "envoy.transport_sockets.raw_buffer";
export const proxyProtocolSocketName = "envoy.transport_sockets.upstream_proxy_protocol";

/** Plain text. */
export const rawBufferSocket: TransportSocket = {
  name: rawBufferSocketName,
  typed_config: packAny("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", {}),
};

export function buildUpstreamTlsSocket(context: UpstreamTlsContext): TransportSocket {
  return {
    name: tlsSocketName,
    typed_config: packAny("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", context),
  };
}

export function buildDownstreamTlsSocket(context: DownstreamTlsContext): TransportSocket {
  return {
    name: tlsSocketName,
    typed_config: packAny("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", context),
  };
}

/** TLS within QUIC, the transport of HTTP/3. */
export function buildDownstreamQuicSocket(context: DownstreamTlsContext): TransportSocket {
  return {
    name: quicSocketName,
    typed_config: packAny("envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport", {
      downstream_tls_context: context,
    }),
  };
}

/** Wraps a socket so that connections start with the PROXY protocol's header, which is never encrypted. */
export function wrapInProxyProtocol(inner: TransportSocket, version: "V1" | "V2"): TransportSocket {
  return {
    name: proxyProtocolSocketName,
    typed_config: packAny("envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport", {
      // V1 is the enum's zero: left out, as every encoder leaves it out.
      config: version === "V1" ? {} : { version },
      transport_socket: inner,
    }),
  };
}
