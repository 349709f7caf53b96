/** Statistics in the text format of Prometheus, with Envoy's names: envoy_cluster_upstream_rq_total{envoy_cluster_name="a"} 3. */
import type { HistogramSummary, StatsRegistry } from "./stats-registry.ts";

export interface ExpositionOptions {
  /** Names (as on /stats) that are wanted. */
  readonly isWanted: (name: string) => boolean;
}

/** Names that begin so are printed without "envoy_" and without this: Istio's own metrics. */
const customNamespace = "istiocustom.";

/** The text in pieces, some of them empty: whoever has others to serve may do so between them. */
export function* formatPrometheus(stats: StatsRegistry, { isWanted }: ExpositionOptions): Generator<string, void> {
  const parts = stats.parts();
  yield* writeFamilies(
    yield* group(
      stats,
      parts.map((part) => () => part.counters()),
      isWanted,
    ),
    "counter",
  );
  yield* writeFamilies(
    yield* group(
      stats,
      parts.map((part) => () => part.gauges()),
      isWanted,
    ),
    "gauge",
  );
  for (const [name, samples] of yield* group(
    stats,
    parts.map((part) => () => part.histograms()),
    isWanted,
  )) {
    yield `# TYPE ${name} histogram\n`;
    for (const sample of samples) yield formatHistogram(name, sample);
  }
}

interface Sample<Value> {
  /** As on /stats: samples of a metric come in this order. */
  readonly full: string;
  readonly labels: string;
  readonly value: Value;
}

type Families<Value> = readonly (readonly [name: string, samples: readonly Sample<Value>[]])[];

function* group<Value>(
  stats: StatsRegistry,
  lists: readonly (() => ReadonlyMap<string, Value>)[],
  isWanted: (name: string) => boolean,
): Generator<string, Families<Value>> {
  const families = new Map<string, Sample<Value>[]>();
  for (const list of lists) {
    for (const [full, value] of list()) {
      if (!isWanted(full)) continue;
      const tagged = stats.tagsOf(full);
      const name = formatName(tagged.name);
      if (name === undefined) continue;
      const labels = tagged.tags.map(([tag, text]) => `${sanitize(tag)}="${escapeLabel(text)}"`).join(",");
      const samples = families.get(name);
      if (samples === undefined) families.set(name, [{ full, labels, value }]);
      else samples.push({ full, labels, value });
    }
    yield "";
  }
  const sorted = [...families].sort(([left], [right]) => compare(left, right));
  for (const [, samples] of sorted) {
    samples.sort((left, right) => compare(left.full, right.full));
    yield "";
  }
  return sorted;
}

function* writeFamilies(families: Families<number>, type: string): Generator<string, void> {
  for (const [name, samples] of families) {
    yield `# TYPE ${name} ${type}\n`;
    for (const { labels, value } of samples) yield `${name}{${labels}} ${value}\n`;
  }
}

function formatHistogram(name: string, { labels, value }: Sample<HistogramSummary>): string {
  const before = labels === "" ? "" : `${labels},`;
  const buckets = [...value.buckets, ["+Inf", value.count] as const].map(
    ([bound, count]) => `${name}_bucket{${before}le="${bound}"} ${count}\n`,
  );
  return `${buckets.join("")}${name}_sum{${labels}} ${value.sum}\n${name}_count{${labels}} ${value.count}\n`;
}

/** Undefined where there is none: a name in the custom namespace that begins with a digit. */
function formatName(name: string): string | undefined {
  if (!name.startsWith(customNamespace)) return `envoy_${sanitize(name)}`;
  const own = sanitize(name.slice(customNamespace.length));
  return /^[a-zA-Z_]/.test(own) ? own : undefined;
}

function sanitize(name: string): string {
  return name.replace(/\W/g, "_");
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
