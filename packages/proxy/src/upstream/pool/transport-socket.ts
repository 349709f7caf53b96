/** What goes around the bytes of a connection to a host: nothing, TLS, a PROXY protocol header, and one in the other. */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { typeNameOf, unpackAs } from "@meltemi/protos";
import type { TransportSocket as TransportSocketWire } from "@meltemi/protos/envoy/config/core/v3";
import type { ProxyProtocolUpstreamTransport } from "@meltemi/protos/envoy/extensions/transport_sockets/proxy_protocol/v3";
import { ConfigError, need, within } from "../../lib/config-error.ts";
import type { DownstreamConnection, TlsInfo } from "../../listeners/connection.ts";
import { compileUpstreamTls, type UpstreamTlsEnv } from "../../tls/upstream.ts";
import { encodeProxyHeader, keyOfCaller } from "./proxy-protocol.ts";

export interface TransportOptions {
  readonly sni?: string | undefined;
  readonly sans?: readonly string[] | undefined;
  /** In place of the configuration's. */
  readonly alpn?: readonly string[] | undefined;
  /** Where neither `alpn` nor the configuration has any: what a pool of HTTP connections speaks. */
  readonly fallbackAlpn?: readonly string[] | undefined;
  readonly downstream?: DownstreamConnection | undefined;
}

export interface TransportSocket {
  /** True where bytes on the wire are others than those that are written. */
  readonly isSecure: boolean;
  readonly ready: Promise<void>;
  /** Takes a connected socket. Rejects with Error; its message is the transport failure. */
  connect(
    socket: Socket,
    options: TransportOptions,
  ): Promise<{ readonly stream: Duplex; readonly info: TlsInfo | undefined }>;
  /** Requests with different keys cannot use each other's connections; "" for most. */
  keyOf(options: TransportOptions): string;
  close(): void;
}

const prefix = "envoy.extensions.transport_sockets";

export const rawTransport: TransportSocket = {
  isSecure: false,
  ready: Promise.resolve(),
  connect: (socket) => Promise.resolve({ stream: socket, info: undefined }),
  keyOf: () => "",
  close: () => undefined,
};

/** Compiles a transport socket and those inside it; undefined is plain bytes. Throws ConfigError for what is not there. */
export function compileTransportSocket(wire: TransportSocketWire | undefined, env: UpstreamTlsEnv): TransportSocket {
  if (wire === undefined) return rawTransport;
  const any = wire.typed_config;
  const type = typeNameOf(any?.type_url ?? "");
  if (any === undefined) {
    if (wire.name === "envoy.transport_sockets.raw_buffer") return rawTransport;
    throw new ConfigError("typed_config", "is required");
  }
  return within("typed_config", () => {
    const tls = unpackAs(`${prefix}.tls.v3.UpstreamTlsContext`, any);
    if (tls) return secure(compileUpstreamTls(tls, env));
    const proxied = unpackAs(`${prefix}.proxy_protocol.v3.ProxyProtocolUpstreamTransport`, any);
    if (proxied) return introduce(proxied, env);
    // Statistics of the kernel's side of a connection: nothing that a request could tell.
    const counted = unpackAs(`${prefix}.tcp_stats.v3.Config`, any);
    if (counted) return compileInner(counted.transport_socket, env);
    if (type === `${prefix}.raw_buffer.v3.RawBuffer`) return rawTransport;
    throw new ConfigError("", `transport socket ${type} is not implemented`);
  });
}

function compileInner(wire: TransportSocketWire | undefined, env: UpstreamTlsEnv): TransportSocket {
  return within("transport_socket", () => compileTransportSocket(need("", wire), env));
}

function secure(tls: ReturnType<typeof compileUpstreamTls>): TransportSocket {
  return {
    isSecure: true,
    ready: tls.ready,
    connect: (socket, options) => tls.connect(socket, options),
    keyOf({ sni, sans, alpn }) {
      if (sni === undefined && sans === undefined && alpn === undefined) return "";
      return `${sni ?? ""} ${sans?.join(",") ?? ""} ${alpn?.join(",") ?? ""}`;
    },
    close: () => tls.close(),
  };
}

function introduce({ config, transport_socket }: ProxyProtocolUpstreamTransport, env: UpstreamTlsEnv): TransportSocket {
  if (config?.pass_through_tlvs) throw new ConfigError("config.pass_through_tlvs", "is not implemented");
  const inner = compileInner(transport_socket, env);
  const version = config?.version ?? "V1";
  return {
    isSecure: inner.isSecure,
    ready: inner.ready,
    connect(socket, options) {
      socket.write(encodeProxyHeader(version, options.downstream));
      return inner.connect(socket, options);
    },
    keyOf: (options) => `${keyOfCaller(options.downstream)} ${inner.keyOf(options)}`,
    close: () => inner.close(),
  };
}
