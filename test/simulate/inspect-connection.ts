/** What listener filters learn of a connection before a filter chain is picked. */
import { typeNameOf } from "@meltemi/protos";
import type { Listener, ListenerFilterChainMatchPredicate } from "@meltemi/protos/envoy/config/listener/v3";
import type { HostPort, PlannedCall } from "./call.ts";
import type { Note } from "./trace.ts";

const tlsInspectors: readonly string[] = [
  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
  "envoy.filters.listener.tls_inspector",
];
const httpInspectors: readonly string[] = [
  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
  "envoy.filters.listener.http_inspector",
];

/** What filter chains are matched against. */
export interface Connection {
  /** The original destination. */
  readonly local: HostPort;
  readonly remote: HostPort;
  readonly directRemote: HostPort;
  /** Lower case, "" where no filter has read one. */
  readonly serverName: string;
  readonly transportProtocol: "raw_buffer" | "tls";
  readonly applicationProtocols: readonly string[];
}

/** Runs the listener's filters in their order; each may be switched off for some destinations. */
export function inspectConnection(listener: Listener, call: PlannedCall, note: Note): Connection {
  let connection: Connection = {
    local: call.to,
    remote: call.from,
    directRemote: call.directFrom,
    serverName: "",
    transportProtocol: "raw_buffer",
    applicationProtocols: [],
  };
  for (const { name, typed_config: config, filter_disabled: disabled } of listener.listener_filters ?? []) {
    if (disabled !== undefined && matchesPredicate(disabled, connection.local.port)) continue;
    // The type decides, as in Envoy; the name is a label.
    connection = inspect(config?.type_url === undefined ? (name ?? "") : typeNameOf(config.type_url), connection, call);
  }
  const { transportProtocol, serverName, applicationProtocols } = connection;
  note(`connection: ${transportProtocol}, server name "${serverName}", protocols [${applicationProtocols.join(", ")}]`);
  return connection;
}

function inspect(filter: string, connection: Connection, call: PlannedCall): Connection {
  const { tls } = call;
  if (tlsInspectors.includes(filter) && tls !== undefined)
    return { ...connection, transportProtocol: "tls", serverName: tls.sni, applicationProtocols: tls.alpn };
  // The HTTP inspector leaves TLS alone, and finds nothing in bytes that are encrypted or not HTTP.
  if (httpInspectors.includes(filter) && tls === undefined && call.protocol !== "tcp")
    return { ...connection, applicationProtocols: [call.protocol === "h2" ? "h2c" : call.protocol] };
  return connection;
}

/** Ranges of ports include their start and exclude their end. */
function matchesPredicate(predicate: ListenerFilterChainMatchPredicate, port: number): boolean {
  const { or_match: any, and_match: all, not_match: not, destination_port_range: range } = predicate;
  if (any !== undefined) return (any.rules ?? []).some((rule) => matchesPredicate(rule, port));
  if (all !== undefined) return (all.rules ?? []).every((rule) => matchesPredicate(rule, port));
  if (not !== undefined) return !matchesPredicate(not, port);
  if (range !== undefined) return port >= (range.start ?? 0) && port < (range.end ?? 0);
  return predicate.any_match === true;
}
