/**
 * What Envoy does with a call, going by the resources that a proxy is given: listener, inspectors, filter chain, TLS,
 * network filter, virtual host, route, cluster. Rules are those of Envoy's API documentation; see README.md.
 */
import { unpackAs } from "@meltemi/protos";
import { type Call, planCall } from "./call.ts";
import { findFilterChain } from "./filter-chain.ts";
import { inspectConnection } from "./inspect-connection.ts";
import { findListener, interceptsOutbound } from "./listener.ts";
import type { Accepted, Outcome } from "./outcome.ts";
import type { ProxyResources } from "./resources.ts";
import { simulateHttp } from "./simulate-http.ts";
import { findTcpTarget, forwardBytes } from "./simulate-tcp.ts";
import { shakeHands } from "./transport.ts";

export interface Simulation {
  readonly outcome: Outcome;
  /** What each stage decided, in order, one line each. */
  readonly trace: readonly string[];
}

/** Runs one call. Throws where the resources use something that is not simulated, or the call makes no sense. */
export function simulate(resources: ProxyResources, call: Call): Simulation {
  const trace: string[] = [];
  const note = (line: string): void => {
    trace.push(line);
  };
  const planned = planCall(call, interceptsOutbound(resources.listeners));
  return { outcome: run(), trace };

  function run(): Outcome {
    const listener = findListener(resources.listeners, planned, note);
    if (listener === undefined) return { result: "closed", reason: "no listener" };
    const connection = inspectConnection(listener, planned, note);
    const chain = findFilterChain(listener, connection, note);
    const at = { listener: listener.name ?? "" };
    if (chain === undefined) return { result: "closed", reason: "no filter chain", ...at };
    const filters = chain.filters ?? [];
    const handshake = shakeHands(chain, planned);
    const found = { ...at, chain: chain.name ?? "", filters: filters.map(({ name }) => name ?? "") };
    if (handshake.kind === "failed") return { result: "closed", reason: handshake.reason, ...found };
    const { tls, clientCertificate } = handshake;
    const accepted: Accepted = { ...found, tls, ...(clientCertificate === undefined ? {} : { clientCertificate }) };
    note(`TLS: ${tls}; filters: ${accepted.filters.join(", ")}`);
    const context = { resources, call: planned, accepted, note };
    for (const filter of filters) {
      const name = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
      const manager = filter.typed_config && unpackAs(name, filter.typed_config);
      if (manager !== undefined) return simulateHttp(manager, context);
      const target = findTcpTarget(filter, context);
      if (target !== undefined) return forwardBytes(target, context);
    }
    return { result: "closed", reason: "no filters", ...accepted };
  }
}
