/** Where traces, metrics and access logs go that the ProxyConfig names: their clusters, and who writes to them. */
import { parseDuration } from "../../../../src/lib/duration.ts";
import { type JsonObject, readObject, readText } from "../config/json.ts";
import { buildClientTls } from "./client-tls.ts";
import { type HostAddress, parseHostAddress } from "./host-address.ts";

export interface Collector {
  readonly name: string;
  readonly address: HostAddress;
  readonly tls: JsonObject | undefined;
  /** UpstreamConnectionOptions */
  readonly keepalive: JsonObject | undefined;
  readonly isHttp2: boolean;
  readonly dnsRefreshRate?: string;
}

export interface CollectorsOptions {
  /** ProxyConfig in its JSON form. */
  readonly config: JsonObject;
  readonly metadata: JsonObject;
  readonly hostIp: string;
  /** Name of the proxy's cluster, for tracers that want one. */
  readonly cluster: string;
}

export interface Collectors {
  readonly clusters: readonly Collector[];
  /** `tracing` of the bootstrap. */
  readonly tracing: JsonObject | undefined;
  /** `stats_sinks` of the bootstrap. */
  readonly sinks: readonly JsonObject[];
}

export function buildCollectors(options: CollectorsOptions): Collectors {
  const tracer = buildTracer(options);
  const metrics = buildService(options, "envoyMetricsService", "envoy_metrics_service");
  const logs = buildService(options, "envoyAccessLogService", "envoy_accesslog_service");
  const services = [metrics, logs].filter((service): service is Collector => service !== undefined);
  return {
    clusters: [...(tracer === undefined ? [] : [tracer.cluster]), ...services],
    tracing: tracer === undefined ? undefined : { http: tracer.config },
    sinks: [...(metrics === undefined ? [] : [metricsSink]), ...buildStatsd(options)],
  };
}

interface Tracer {
  readonly cluster: Collector;
  readonly config: JsonObject;
}

const tracerConfig = (name: string, type: string, fields: JsonObject): JsonObject => ({
  name: `envoy.tracers.${name}`,
  typed_config: { "@type": `type.googleapis.com/envoy.config.trace.v3.${type}`, ...fields },
});

/** Zipkin and Datadog; Lightstep's own tracer is gone from Envoy, Stackdriver's from Istio's bootstrap. */
function buildTracer(options: CollectorsOptions): Tracer | undefined {
  const tracing = readObject(options.config, "tracing");
  const zipkin = readText(readObject(tracing, "zipkin"), "address");
  if (zipkin !== undefined) {
    const cluster = { ...buildTracerCluster(options, "zipkin", zipkin), dnsRefreshRate: "30s" };
    const config = {
      collector_cluster: "zipkin",
      collector_endpoint: "/api/v2/spans",
      collector_endpoint_version: "HTTP_JSON",
      trace_id_128bit: true,
      shared_span_context: false,
    };
    return { cluster, config: tracerConfig("zipkin", "ZipkinConfig", config) };
  }
  const datadog = readText(readObject(tracing, "datadog"), "address");
  if (datadog === undefined) return undefined;
  const config = { collector_cluster: "datadog_agent", service_name: options.cluster };
  return {
    cluster: buildTracerCluster(options, "datadog_agent", datadog),
    config: tracerConfig("datadog", "DatadogConfig", config),
  };
}

function buildTracerCluster(options: CollectorsOptions, name: string, address: string): Collector {
  const tls = readObject(readObject(options.config, "tracing"), "tlsSettings");
  const { metadata } = options;
  return {
    name,
    address: parseHostAddress(`tracing.${name}.address`, address, options.hostIp),
    tls: buildClientTls(tls, { defaultName: "tracer", isHttp2: false, metadata }),
    keepalive: undefined,
    isHttp2: false,
  };
}

function buildService(options: CollectorsOptions, field: string, name: string): Collector | undefined {
  const service = readObject(options.config, field);
  const address = readText(service, "address");
  if (address === undefined) return undefined;
  const { metadata } = options;
  return {
    name,
    address: parseHostAddress(`${field}.address`, address, options.hostIp),
    tls: buildClientTls(readObject(service, "tlsSettings"), { defaultName: name, isHttp2: true, metadata }),
    keepalive: buildKeepalive(readObject(service, "tcpKeepalive")),
    isHttp2: true,
  };
}

/** Whole seconds, as Envoy wants them. */
function buildKeepalive(keepalive: JsonObject | undefined): JsonObject | undefined {
  if (keepalive === undefined) return undefined;
  const fields = [
    ["keepalive_probes", Number(keepalive["probes"] ?? 0)],
    ["keepalive_time", readSeconds(keepalive["time"])],
    ["keepalive_interval", readSeconds(keepalive["interval"])],
  ] as const;
  return { tcp_keepalive: Object.fromEntries(fields.filter(([, value]) => value > 0)) };
}

const readSeconds = (value: unknown): number =>
  typeof value === "string" ? Math.trunc((parseDuration(value) ?? 0) / 1000) : 0;

const metricsSink: JsonObject = {
  name: "envoy.stat_sinks.metrics_service",
  typed_config: {
    "@type": "type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig",
    transport_api_version: "V3",
    grpc_service: { envoy_grpc: { cluster_name: "envoy_metrics_service" } },
  },
};

function buildStatsd({ config, hostIp }: CollectorsOptions): readonly JsonObject[] {
  const text = readText(config, "statsdUdpAddress");
  if (text === undefined) return [];
  const { host, port } = parseHostAddress("statsdUdpAddress", text, hostIp);
  return [
    {
      name: "envoy.stat_sinks.statsd",
      typed_config: {
        "@type": "type.googleapis.com/envoy.config.metrics.v3.StatsdSink",
        address: { socket_address: { protocol: "UDP", address: host, port_value: port } },
      },
    },
  ];
}
