/** Metrics of the agent itself, under pilot-agent's names (prefix istio_agent_). */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";

export type ScrapeSource = "envoy" | "application" | "agent";

/** Numbers that other parts of the agent know; read when somebody asks. */
export interface AgentGauges {
  /** Milliseconds since the epoch at which the workload's certificate ends; undefined where there is none yet. */
  certificateEndMs(): number | undefined;
  /** True while the control plane answers. */
  isConnected(): boolean;
  /** Streams to the control plane since the start. */
  streams(): StreamCounts;
  /** Questions for names since the start; undefined where the agent answers none. */
  names(): NameCounts | undefined;
}

interface StreamCounts {
  readonly requests: number;
  readonly responses: number;
  readonly failures: number;
}

interface NameCounts {
  readonly requests: number;
  readonly forwarded: number;
  readonly failed: number;
}

export interface AgentMetrics {
  countScrape(): void;
  countFailure(source: ScrapeSource): void;
  /** Seconds from the agent's start to its being ready. */
  setStartupSeconds(seconds: number): void;
  render(): Promise<string>;
}

export interface AgentMetricsOptions {
  readonly gauges: AgentGauges;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const prefix = "istio_agent_";

export function createAgentMetrics({ gauges, now }: AgentMetricsOptions): AgentMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix });
  const scrapes = new Counter({ name: `${prefix}scrapes_total`, help: "The total number of scrapes.", registers });
  const failures = new Counter({
    name: `${prefix}scrape_failures_total`,
    help: "The total number of failed scrapes.",
    labelNames: ["type"] as const,
    registers,
  });
  const startup = new Gauge({
    name: `${prefix}startup_duration_seconds`,
    help: "The time from the process starting to being marked ready.",
    registers,
  });
  new Gauge({
    name: `${prefix}cert_expiry_seconds`,
    help: "The time remaining, in seconds, before the certificate expires.",
    labelNames: ["resource_name"] as const,
    registers,
    collect() {
      const endMs = gauges.certificateEndMs();
      if (endMs !== undefined) this.set({ resource_name: "default" }, (endMs - now()) / 1000);
    },
  });
  new Gauge({
    name: `${prefix}xds_connected`,
    help: "1 while the control plane answers, else 0.",
    registers,
    collect() {
      this.set(gauges.isConnected() ? 1 : 0);
    },
  });
  addReadCounters(registry, gauges);
  return {
    countScrape: () => scrapes.inc(),
    countFailure: (type) => failures.inc({ type }),
    setStartupSeconds: (seconds) => startup.set(seconds),
    render: () => registry.metrics(),
  };
}

type ReadCounter = readonly [name: string, help: string, read: (gauges: AgentGauges) => number | undefined];

/** What others count; names and texts are pilot-agent's (pkg/istio-agent/metrics, pkg/dns/client). */
const readCounters: readonly ReadCounter[] = [
  ["num_outgoing_requests", "Number of total outgoing requests.", ({ streams }) => streams().requests],
  ["num_incoming_responses", "Number of messages from the control plane.", ({ streams }) => streams().responses],
  [
    "istiod_connection_failures",
    "The total number of connection failures to Istiod.",
    ({ streams }) => streams().failures,
  ],
  ["dns_requests_total", "Total number of DNS requests.", ({ names }) => names()?.requests],
  [
    "dns_upstream_requests_total",
    "Total number of DNS requests forwarded to upstream.",
    ({ names }) => names()?.forwarded,
  ],
  ["dns_upstream_failures_total", "Total number of DNS failures from upstream.", ({ names }) => names()?.failed],
];

function addReadCounters(registry: Registry, gauges: AgentGauges): void {
  for (const [name, help, read] of readCounters) {
    if (read(gauges) === undefined) continue;
    new Counter({
      name: `${prefix}${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read(gauges) ?? 0);
      },
    });
  }
}
