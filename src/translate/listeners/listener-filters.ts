/** Listener filters: what happens to a connection before a chain is chosen (Istio: pilot/pkg/xds/filters). */
import { packAny, u32 } from "@meltemi/protos";
import type { ListenerFilter } from "@meltemi/protos/envoy/config/listener/v3";

/** Spreads connections evenly over threads; the kernel alone may leave long-lived ones on a few. */
export const exactBalance = { connection_balance_config: { exact_balance: {} } } as const;

/** Mark of packets that iptables lets go back to the proxy. */
const originalSrcMark = 1337;

/** Finds TLS and reads the server name and the protocols offered. Starts small: most handshakes fit, and reads grow. */
export const tlsInspector: ListenerFilter = {
  name: "envoy.filters.listener.tls_inspector",
  typed_config: packAny("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", {
    initial_read_buffer_size: u32(512),
  }),
};

/** Finds HTTP in plain text. Stands behind the TLS inspector: what that has found to be TLS it leaves alone. */
export const httpInspector: ListenerFilter = {
  name: "envoy.filters.listener.http_inspector",
  typed_config: packAny("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector", {}),
};

/** Restores the address that a redirected connection was meant for. */
export const originalDestination: ListenerFilter = {
  name: "envoy.filters.listener.original_dst",
  typed_config: packAny("envoy.extensions.filters.listener.original_dst.v3.OriginalDst", {}),
};

/** Connects to the application from the client's own address (interception TPROXY). */
export const originalSource: ListenerFilter = {
  name: "envoy.filters.listener.original_src",
  typed_config: packAny("envoy.extensions.filters.listener.original_src.v3.OriginalSrc", { mark: originalSrcMark }),
};
