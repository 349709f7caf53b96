/**
 * The discovery service on a Unix socket: each stream of the proxy is passed on over one stream to the control plane, with
 * the credentials of the agent (Istio: pkg/istio-agent/xds_proxy.go).
 */
import { Server, type ServiceDefinition, status as statusCodes } from "@grpc/grpc-js";
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import type { Log } from "../../../../src/lib/log.ts";
import { listenOnSocket } from "../identity/unix-socket.ts";
import { asBuffer, asBytes, type UpstreamOptions } from "../identity/upstream.ts";
import type { Variant } from "./envelope.ts";
import { type Downstream, Link, type LinkCounters } from "./link.ts";
import type { HealthReport } from "./own-requests.ts";

export type { LinkCounters } from "./link.ts";
export type { HealthReport } from "./own-requests.ts";

export interface XdsProxyOptions {
  readonly socketPath: string;
  readonly upstream: UpstreamOptions;
  /** Called with each table of names; without it none is asked for. A throw refuses the table. */
  readonly onNameTable?: (table: NameTable) => void;
  /** Rights of the socket; 0o600 where not given: who can connect speaks with the workload's credentials. */
  readonly socketMode?: number;
  readonly log: Log;
}

export interface XdsProxy {
  /** Told to the control plane now, and again on each new stream after the first request for listeners. */
  reportHealth(report: HealthReport): void;
  /** True while a stream is open up to the control plane, and it has answered. */
  isConnected(): boolean;
  counters(): Readonly<LinkCounters>;
  stop(): Promise<void>;
}

/** Rejects where the socket cannot be made. */
export async function startXdsProxy(options: XdsProxyOptions): Promise<XdsProxy> {
  const log = options.log.child({ component: "xdsproxy" });
  const counters: LinkCounters = { requests: 0, responses: 0, connections: 0, failures: 0 };
  let link: Link | undefined;
  let health: HealthReport | undefined;
  const accept = (downstream: Downstream, variant: Variant): void => {
    // One proxy, one stream: an earlier one belongs to a connection that the proxy gave up.
    link?.end({ code: statusCodes.UNAVAILABLE, details: "the proxy has opened another stream" });
    const { upstream, onNameTable } = options;
    link = new Link({ variant, downstream, upstream, onNameTable, health: () => health, log, counters });
    void link.open();
  };
  const server = new Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
  server.addService(definition, {
    StreamAggregatedResources: (call: Downstream) => accept(call, "sotw"),
    DeltaAggregatedResources: (call: Downstream) => accept(call, "delta"),
  });
  await listenOnSocket(server, options.socketPath, options.socketMode ?? 0o600);
  return {
    reportHealth(report) {
      health = report;
      link?.reportHealth(report);
    },
    isConnected: () => link?.isAnswered() ?? false,
    counters: () => counters,
    stop: async () => {
      link?.end({ code: statusCodes.UNAVAILABLE, details: "the agent ends" });
      server.forceShutdown();
    },
  };
}

const codec = {
  requestSerialize: asBuffer,
  requestDeserialize: asBytes,
  responseSerialize: asBuffer,
  responseDeserialize: asBytes,
  requestStream: true,
  responseStream: true,
};
const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
const definition = {
  StreamAggregatedResources: { path: `${path}/StreamAggregatedResources`, ...codec },
  DeltaAggregatedResources: { path: `${path}/DeltaAggregatedResources`, ...codec },
} satisfies ServiceDefinition;
