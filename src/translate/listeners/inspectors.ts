/**
 * Which connections of an inbound listener are looked into before a chain is chosen. An inspector waits for bytes of the
 * client; on ports where no chain asks for what it finds that would only cost time, and hang where the server speaks
 * first (Istio: networking/core/listener_inbound.go, populateListenerFilters).
 */
import type {
  FilterChain,
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from "@meltemi/protos/envoy/config/listener/v3";
import { plaintextHttpProtocols } from "./chain-plan.ts";
import { httpInspector, tlsInspector } from "./listener-filters.ts";

interface Needs {
  readonly tls: boolean;
  readonly http: boolean;
}

/** Stands for chains without a port. */
const anyPort = 0;

/** The inspectors that the chains need, switched off for ports that do not. */
export function listInspectors(chains: readonly FilterChain[]): readonly ListenerFilter[] {
  const needs = collectNeeds(chains);
  const filters: ListenerFilter[] = [];
  const ports = [...needs].sort(([a], [b]) => a - b);
  if (ports.some(([, { tls }]) => tls)) filters.push(limitTls(ports));
  // Behind the TLS inspector: it leaves alone what that has found to be TLS.
  if (ports.some(([, { http }]) => http))
    filters.push(limit(httpInspector, excluding(listPorts(ports, ({ http }) => !http))));
  return filters;
}

function collectNeeds(chains: readonly FilterChain[]): ReadonlyMap<number, Needs> {
  const needs = new Map<number, Needs>();
  for (const { filter_chain_match: match } of chains) {
    const port = match?.destination_port?.value ?? anyPort;
    const known = needs.get(port);
    const http = (match?.application_protocols ?? []).some((name) => plaintextHttpProtocols.includes(name));
    needs.set(port, {
      tls: known?.tls === true || match?.transport_protocol === "tls",
      http: known?.http === true || http,
    });
  }
  return needs;
}

/** Where traffic to unknown ports is not looked into, ports are named that are; otherwise those that are not. */
function limitTls(ports: readonly (readonly [number, Needs])[]): ListenerFilter {
  if (ports.some(([port, { tls }]) => port === anyPort && tls)) {
    return limit(tlsInspector, excluding(listPorts(ports, ({ tls }) => !tls)));
  }
  const others = excluding(listPorts(ports, ({ tls }) => tls));
  return limit(tlsInspector, others === undefined ? undefined : { not_match: others });
}

function listPorts(ports: readonly (readonly [number, Needs])[], wanted: (needs: Needs) => boolean): readonly number[] {
  return ports.flatMap(([port, needs]) => (wanted(needs) ? [port] : []));
}

function limit(filter: ListenerFilter, disabled: ListenerFilterChainMatchPredicate | undefined): ListenerFilter {
  return disabled === undefined ? filter : { ...filter, filter_disabled: disabled };
}

/** True for connections to any of the ports; undefined where there is none. */
function excluding(ports: readonly number[]): ListenerFilterChainMatchPredicate | undefined {
  // The end of a range does not belong to it.
  const rules = ports.map((port) => ({ destination_port_range: { start: port, end: port + 1 } }));
  return rules.length > 1 ? { or_match: { rules } } : rules[0];
}
