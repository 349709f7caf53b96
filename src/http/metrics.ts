/**
 * Metrics under istiod's names, labels and buckets, so that its dashboards and alerts work (pilot/pkg/xds/monitoring.go,
 * pilot/pkg/model/push_context.go). Gauges are read when somebody asks; what happens is counted when it happens.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { certificateCounters } from "../ca/metrics.ts";
import type { XdsMetrics } from "../push/metrics.ts";
import { injectionTime, webhookCounters } from "../webhook/metrics.ts";
import { type AuthoritySource, addAuthorityGauges } from "./certificate-metrics.ts";
import { type FindingName, findingHelp, listFindings } from "./debug/push-status.ts";
import { addPatchGauge } from "./patch-metrics.ts";
import type { DebugPort } from "./ports.ts";

/** The text of the page and its type. */
export interface MetricsPage {
  readonly contentType: string;
  render(): Promise<string>;
}

/** What gauges are read from. */
export interface MetricsSource {
  readonly debug: DebugPort;
  readonly version: string;
  /** Seconds since the process began to serve. */
  uptimeSeconds(): number;
  /** Whether what becomes of patches is among the metrics: it is looked for each time they are read. */
  readonly countsPatches?: boolean;
  /** When the authority ends that certifies workloads, and the clock that tells how long that is; absent without one. */
  readonly authority?: AuthoritySource;
}

const timeBuckets = [0.1, 0.5, 1, 3, 5, 10, 20, 30];
const pushBuckets = [0.01, ...timeBuckets];
const sizeBuckets = [1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000];

type Labelled = { readonly help: string; readonly labels?: readonly string[] };

/** Counters of what happens; the names are the public ones. */
const counterTable = {
  pilot_xds_pushes: { help: "Pilot build and send errors for lds, rds, cds and eds.", labels: ["type"] },
  pilot_push_triggers: {
    help: "Total number of times a push was triggered, labeled by reason for the push.",
    labels: ["type"],
  },
  pilot_inbound_updates: { help: "Total number of updates received by pilot.", labels: ["type"] },
  pilot_total_xds_rejects: { help: "Total number of XDS responses from pilot rejected by proxy.", labels: ["type"] },
  pilot_xds_expired_nonce: { help: "Total number of XDS requests with an expired nonce.", labels: ["type"] },
  pilot_xds_write_timeout: { help: "Pilot XDS response write timeouts." },
  pilot_sds_certificate_errors_total: {
    help: "Total number of failures to fetch SDS key and certificate.",
  },
  pilot_total_xds_internal_errors: { help: "Total number of internal XDS errors in pilot." },
  pilot_total_rejected_configs: {
    help: "Total number of configs that Pilot had to reject or ignore.",
    labels: ["type", "name"],
  },
  auto_registration_success_total: { help: "Total number of successful auto registrations." },
  auto_registration_updates_total: { help: "Total number of auto registration updates." },
  auto_registration_unregister_total: { help: "Total number of unregistrations." },
  auto_registration_deletes_total: { help: "Total number of auto registration cleaned up by periodic timer." },
  auto_registration_errors_total: { help: "Total number of auto registration errors." },
  ...webhookCounters,
  ...certificateCounters,
} as const satisfies { readonly [name: string]: Labelled };

const histogramTable = {
  pilot_xds_push_time: {
    help: "Total time in seconds Pilot takes to push lds, rds, cds and eds.",
    labels: ["type"],
    buckets: pushBuckets,
  },
  pilot_xds_send_time: {
    help: "Total time in seconds Pilot takes to send generated configuration.",
    labels: [],
    buckets: [0.01, 0.1, 1, 3, 5, 10, 20, 30],
  },
  pilot_xds_config_size_bytes: {
    help: "Distribution of configuration sizes pushed to clients.",
    labels: ["type"],
    buckets: sizeBuckets,
  },
  pilot_proxy_convergence_time: {
    help: "Delay in seconds between config change and a proxy receiving all required configuration.",
    labels: [],
    buckets: timeBuckets,
  },
  pilot_proxy_queue_time: {
    help: "Time in seconds, a proxy is in the push queue before being dequeued.",
    labels: [],
    buckets: timeBuckets,
  },
  pilot_debounce_time: {
    help: "Delay in seconds between the first config enters debouncing and the merged push request is pushed into the push queue.",
    labels: [],
    buckets: pushBuckets,
  },
  pilot_pushcontext_init_seconds: {
    help: "Total time in seconds Pilot takes to init pushContext.",
    labels: [],
    buckets: [0.01, 0.1, 0.5, 1, 3, 5],
  },
  [injectionTime.name]: { help: injectionTime.help, labels: [], buckets: injectionTime.buckets },
} as const;

const rejectTypes = ["cds", "eds", "lds", "rds", "sds", "ecds", "nds"] as const;

type CounterName = keyof typeof counterTable;
type HistogramName = keyof typeof histogramTable;
type LabelValues = { readonly [label: string]: string };

/** Counts what push and xDS report, and a little more that the root counts itself. */
export interface MeshMetrics extends MetricsPage, XdsMetrics {
  count(name: CounterName, labels?: LabelValues, amount?: number): void;
  /** Seconds or bytes, as the metric's name says. */
  observe(name: HistogramName, value: number, labels?: LabelValues): void;
}

/** Makes all metrics, the process's own among them, in a registry of their own: several control planes fit in a process. */
export function createMetrics(source: MetricsSource): MeshMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  addGauges(registry, source);
  if (source.authority !== undefined) addAuthorityGauges(registry, source.authority);
  if (source.countsPatches === true) addPatchGauge(registry, source.debug);
  const counters = mapValues(counterTable, (definition: Labelled, name) => {
    return new Counter({
      name,
      help: definition.help,
      labelNames: [...(definition.labels ?? [])],
      registers: [registry],
    });
  });
  const histograms = mapValues(histogramTable, ({ help, labels, buckets }, name) => {
    return new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers: [registry] });
  });
  const rejects = createRejectGauges(registry);
  const largest = new Gauge({
    name: "pilot_xds_recv_max",
    help: "The maximum size request we have received so far.",
    registers: [registry],
  });
  let largestSize = 0;
  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    count: (name, labels = {}, amount = 1) => counters[name].inc({ ...labels }, amount),
    observe: (name, value, labels = {}) => histograms[name].observe({ ...labels }, value),
    setReject: rejects,
    noteRequestSize(byteLength) {
      if (byteLength <= largestSize) return;
      largestSize = byteLength;
      largest.set(byteLength);
    },
  };
}

/** Gauges by type: 1 for each proxy that refuses what it was sent, with the code of its error. */
function createRejectGauges(registry: Registry): MeshMetrics["setReject"] {
  const gauges = new Map(
    rejectTypes.map((type) => {
      const name = `pilot_xds_${type}_reject`;
      const help = `Pilot rejected ${type.toUpperCase()} configs.`;
      return [type, new Gauge({ name, help, labelNames: ["node", "err"], registers: [registry] })];
    }),
  );
  const lastCodes = new Map<string, string>();
  return (type, node, errorCode) => {
    const gauge = gauges.get(type);
    const key = `${type}/${node}`;
    const last = lastCodes.get(key);
    if (last !== undefined) gauge?.remove({ node, err: last });
    if (errorCode === undefined) return void lastCodes.delete(key);
    lastCodes.set(key, errorCode);
    gauge?.set({ node, err: errorCode }, 1);
  };
}

function addGauges(registry: Registry, source: MetricsSource): void {
  const { debug, version, uptimeSeconds } = source;
  const registers = [registry];
  const addRead = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  addRead("pilot_services", "Total services known to pilot.", () => debug.snapshot()?.services.all.length ?? 0);
  addRead(
    "pilot_virt_services",
    "Total virtual services known to pilot.",
    () => debug.snapshot()?.objects("VirtualService").length ?? 0,
  );
  addRead("istiod_uptime_seconds", "Current istiod server uptime in seconds", uptimeSeconds);
  addFindings(registry, debug);
  new Gauge({
    name: "pilot_info",
    help: "Pilot version and build information.",
    labelNames: ["version"],
    registers,
  }).set({ version }, 1);
  new Gauge({
    name: "istio_build",
    help: "Istio component build info",
    labelNames: ["component", "tag"],
    registers,
  }).set({ component: "pilot", tag: version }, 1);
  new Gauge({
    name: "pilot_xds",
    help: "Number of endpoints connected to this pilot using XDS.",
    labelNames: ["version"],
    registers,
    collect() {
      this.reset();
      for (const { proxy } of debug.listConnections()) {
        const istio = proxy.istioVersion;
        this.inc({ version: istio === undefined ? "unknown" : `${istio.major}.${istio.minor}.${istio.patch}` });
      }
    },
  });
}

/** The findings of one snapshot are looked for once, however many gauges ask. */
function addFindings(registry: Registry, debug: DebugPort): void {
  const found = new WeakMap<object, ReturnType<typeof listFindings>>();
  const count = (name: FindingName): number => {
    const snapshot = debug.snapshot();
    if (snapshot === undefined) return 0;
    const findings = found.get(snapshot) ?? listFindings(snapshot);
    found.set(snapshot, findings);
    return findings[name].length;
  };
  for (const name of Object.keys(findingHelp) as FindingName[]) {
    new Gauge({
      name,
      help: findingHelp[name],
      registers: [registry],
      collect() {
        this.set(count(name));
      },
    });
  }
}

function mapValues<Key extends string, In, Out>(
  table: { readonly [K in Key]: In },
  map: (value: In, name: Key) => Out,
): { readonly [K in Key]: Out } {
  const entries = Object.entries(table).map(([name, value]) => [name, map(value as In, name as Key)]);
  return Object.fromEntries(entries) as { readonly [K in Key]: Out };
}
