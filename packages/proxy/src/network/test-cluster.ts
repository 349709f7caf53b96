/** A cluster of real sockets, as the filters' contract has it, without anything that a real one does besides. */
import { connect } from "node:net";
import type { Stats } from "../lib/stats.ts";
import {
  type ConnectOptions,
  type Host,
  type LoadBalancerContext,
  type UpstreamCluster,
  type UpstreamConnection,
  UpstreamError,
  type UpstreamFailure,
} from "../upstream/types.ts";

export interface TestClusterOptions {
  readonly name: string;
  readonly ports: readonly number[];
  readonly stats: Stats;
  readonly send?: UpstreamCluster["send"];
  /** What keeps a connection from being made before it is tried. */
  readonly failure?: UpstreamFailure;
}

export interface TestCluster extends UpstreamCluster {
  readonly contexts: LoadBalancerContext[];
  readonly connects: ConnectOptions[];
}

/** Hosts are taken in turn. */
export function createTestCluster({ name, ports, stats, send, failure }: TestClusterOptions): TestCluster {
  const hosts = ports.map(hostOf);
  const contexts: LoadBalancerContext[] = [];
  const connects: ConnectOptions[] = [];
  const nothing = (): never => {
    throw new Error("is no part of this test");
  };
  let turn = 0;
  return {
    name,
    contexts,
    connects,
    wire: { name },
    stats: stats.scope(`cluster.${name}`),
    metadata: {},
    connectTimeoutMs: 1_000,
    bufferLimit: 1_048_576,
    chooseHost(context) {
      contexts.push(context);
      const host = hosts[turn % Math.max(1, hosts.length)];
      turn += 1;
      if (host === undefined) throw new UpstreamError("no-healthy-upstream");
      return host;
    },
    breakers: nothing,
    send: send ?? nothing,
    connect(host, options) {
      connects.push(options);
      return failure === undefined ? open(host) : Promise.reject(new UpstreamError(failure, { host }));
    },
    report: () => undefined,
    listHosts: () => hosts,
  };
}

function hostOf(port: number): Host {
  return {
    address: `127.0.0.1:${port}`,
    ip: "127.0.0.1",
    port,
    hostname: "",
    locality: { region: "", zone: "", sub_zone: "" },
    priority: 0,
    weight: 1,
    endpoint: {},
    metadata: {},
    health: "healthy",
    activeRequests: 0,
  };
}

function open(host: Host): Promise<UpstreamConnection> {
  return new Promise((resolve, reject) => {
    const stream = connect({ port: host.port, host: host.ip, allowHalfOpen: true, noDelay: true });
    stream.once("error", (cause) =>
      reject(new UpstreamError("connection-failure", { host, transportFailure: "delayed_connect_error", cause })),
    );
    stream.once("connect", () =>
      resolve({ stream, localAddress: `127.0.0.1:${stream.localPort}`, close: () => stream.destroy() }),
    );
  });
}
