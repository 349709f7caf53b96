/** Both proxies with one configuration: a listener for each lane, and behind it a server, or the proxy's own answer. */

import { holdPorts } from "../../../tools/free-ports.ts";
import { type DataPlane, eventually } from "../../envoy/envoy-process.ts";
import type { IssuedCertificate } from "../../support/test-authority.ts";
import { inspectFlag, measureGrowth } from "../heap-probe.ts";
import { type StaticPlane, startStaticPlane } from "../static-plane.ts";

export interface Lane {
  readonly name: string;
  /** Clients come with TLS and choose by ALPN; otherwise both versions of HTTP are spoken as they come. */
  readonly isTls: boolean;
  /** Undefined where the proxy itself answers. */
  readonly upstream: LaneUpstream | undefined;
}

export interface LaneUpstream {
  readonly port: number;
  readonly protocol: "http1" | "http2";
  /** Name and roots of a server that takes TLS. */
  readonly tls?: { readonly name: string; readonly roots: string } | undefined;
}

export interface LanePlane {
  readonly plane: DataPlane;
  port(lane: string): number;
  /** False where the process has ended. */
  isRunning(): boolean;
  /** Resolves when no connection and no request is left on either side; rejects after 20 s with what is. */
  expectIdle(): Promise<void>;
  /** What of its memory the companion does not give back when `run` is done three times more. */
  measureGrowth(run: () => Promise<void>): Promise<Growth>;
  stop(): Promise<void>;
}

/** Bytes. */
export interface Growth {
  readonly resident: number;
  /** For each of the last two times, once garbage is collected. */
  readonly heap: number;
}

export interface LaneOptions {
  readonly plane: DataPlane;
  readonly lanes: readonly Lane[];
  /** Of the listeners with TLS. */
  readonly certificate: IssuedCertificate;
}

export async function startLanes({ plane, lanes, certificate }: LaneOptions): Promise<LanePlane> {
  const held = await holdPorts(lanes.length + 1);
  const [adminPort = 0, ...ports] = held.ports;
  const listeners = lanes.map((lane, index) => buildListener(lane, ports[index] ?? 0, certificate));
  const clusters = lanes.flatMap(({ name, upstream }) =>
    upstream === undefined ? [] : [buildCluster(name, upstream)],
  );
  const bootstrap = { static_resources: { listeners, clusters } };
  const nodeFlags = [inspectFlag];
  const started = await startStaticPlane({ plane, adminPort, bootstrap, nodeFlags }).catch(async (cause: unknown) => {
    await held.release();
    throw cause;
  });
  const expectIdle = (): Promise<void> => eventually(`${plane} is idle`, () => isIdle(started));
  const measureResident = async (): Promise<number> => {
    const { total_physical_bytes } = JSON.parse(await started.admin("memory")) as Readonly<Record<string, string>>;
    return Number(total_physical_bytes);
  };
  return {
    plane,
    isRunning: started.isRunning,
    port: (name) => ports[lanes.findIndex((lane) => lane.name === name)] ?? 0,
    expectIdle,
    async measureGrowth(run) {
      const before = await measureResident();
      const askAll = async (): Promise<void> => {
        await run();
        await expectIdle();
      };
      const heap = await measureGrowth(started.log, { count: 1, askAll });
      return { heap, resident: (await measureResident()) - before };
    },
    async stop() {
      await started.stop();
      await held.release();
    },
  };
}

/** What is counted of lanes alone: the administration's own connection is there while it is asked. */
async function isIdle(plane: StaticPlane): Promise<boolean> {
  const gauges = await plane.stats("^(http\\.lane|cluster|listener\\.127\\.).*_(cx|rq)_(pending_)?active$");
  if (gauges.size === 0) throw new Error("there are no gauges");
  const left = [...gauges].filter(([, value]) => value !== 0);
  if (left.length > 0) throw new Error(left.map(([name, value]) => `${name}: ${value}`).join(", "));
  return true;
}

const typeOf = (name: string): string => `type.googleapis.com/envoy.extensions.${name}`;
const addressOf = (port: number): object => ({ socket_address: { address: "127.0.0.1", port_value: port } });

function buildListener({ name, isTls, upstream }: Lane, port: number, certificate: IssuedCertificate): object {
  const own = { direct_response: { status: 200, body: { inline_string: "answered by the proxy itself\n" } } };
  // Streams may last: what ends them is part of the cases.
  const action = upstream === undefined ? own : { route: { cluster: name, timeout: "0s" } };
  const manager = {
    "@type": typeOf("filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "lane",
    // Of h2spec's cases one goes beyond it: few are as good as many, and no burden to a machine that has other work.
    http2_protocol_options: { max_concurrent_streams: 100 },
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, ...action }] }] },
    http_filters: [
      { name: "envoy.filters.http.router", typed_config: { "@type": typeOf("filters.http.router.v3.Router") } },
    ],
  };
  const chain = { filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] };
  const transport = isTls ? { transport_socket: buildServerTls(certificate) } : {};
  return { name, address: addressOf(port), filter_chains: [{ ...chain, ...transport }] };
}

function buildServerTls({ certificatePem, privateKeyPem }: IssuedCertificate): object {
  const pair = { certificate_chain: { inline_string: certificatePem }, private_key: { inline_string: privateKeyPem } };
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": typeOf("transport_sockets.tls.v3.DownstreamTlsContext"),
      common_tls_context: { alpn_protocols: ["h2", "http/1.1"], tls_certificates: [pair] },
    },
  };
}

function buildCluster(name: string, { port, protocol, tls }: LaneUpstream): object {
  const type = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const version = protocol === "http2" ? { http2_protocol_options: {} } : { http_protocol_options: {} };
  return {
    name,
    type: "STATIC",
    connect_timeout: "10s",
    // So that nothing at all is left open when all is done.
    typed_extension_protocol_options: {
      [type]: {
        "@type": `type.googleapis.com/${type}`,
        common_http_protocol_options: { idle_timeout: "1s" },
        explicit_http_config: version,
      },
    },
    ...(tls === undefined ? {} : { transport_socket: buildClientTls(tls) }),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: addressOf(port) } }] }],
    },
  };
}

function buildClientTls({ name, roots }: NonNullable<LaneUpstream["tls"]>): object {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": typeOf("transport_sockets.tls.v3.UpstreamTlsContext"),
      sni: name,
      common_tls_context: {
        alpn_protocols: ["h2"],
        validation_context: {
          trusted_ca: { inline_string: roots },
          match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: name } }],
        },
      },
    },
  };
}
