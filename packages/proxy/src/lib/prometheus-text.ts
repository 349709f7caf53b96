/** Statistics in the text format of Prometheus, with Envoy's names: envoy_cluster_upstream_rq_total{envoy_cluster_name="a"} 3. */
import type { HistogramSummary, StatsRegistry } from "./stats-registry.ts";

export interface ExpositionOptions {
  /** Names (as on /stats) that are wanted. */
  readonly isWanted: (name: string) => boolean;
}

/** Names that begin so are printed without "envoy_" and without this: Istio's own metrics. */
const customNamespace = "istiocustom.";

export function formatPrometheus(stats: StatsRegistry, { isWanted }: ExpositionOptions): string {
  const lines: string[] = [];
  writeFamilies(lines, group(stats, stats.counters(), isWanted), "counter");
  writeFamilies(lines, group(stats, stats.gauges(), isWanted), "gauge");
  for (const [name, samples] of group(stats, stats.histograms(), isWanted)) {
    lines.push(`# TYPE ${name} histogram`);
    for (const sample of samples) writeHistogram(lines, name, sample);
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

interface Sample<Value> {
  /** As on /stats: samples of a metric come in this order. */
  readonly full: string;
  readonly labels: string;
  readonly value: Value;
}

type Families<Value> = readonly (readonly [name: string, samples: readonly Sample<Value>[]])[];

function group<Value>(
  stats: StatsRegistry,
  values: ReadonlyMap<string, Value>,
  isWanted: (name: string) => boolean,
): Families<Value> {
  const families = new Map<string, Sample<Value>[]>();
  for (const [full, value] of values) {
    if (!isWanted(full)) continue;
    const tagged = stats.tagsOf(full);
    const name = formatName(tagged.name);
    if (name === undefined) continue;
    const labels = tagged.tags.map(([tag, text]) => `${sanitize(tag)}="${escapeLabel(text)}"`).join(",");
    const samples = families.get(name);
    if (samples === undefined) families.set(name, [{ full, labels, value }]);
    else samples.push({ full, labels, value });
  }
  const sorted = [...families].sort(([left], [right]) => compare(left, right));
  return sorted.map(([name, samples]) => [name, samples.sort((left, right) => compare(left.full, right.full))]);
}

function writeFamilies(lines: string[], families: Families<number>, type: string): void {
  for (const [name, samples] of families) {
    lines.push(`# TYPE ${name} ${type}`);
    for (const { labels, value } of samples) lines.push(`${name}{${labels}} ${value}`);
  }
}

function writeHistogram(lines: string[], name: string, { labels, value }: Sample<HistogramSummary>): void {
  const before = labels === "" ? "" : `${labels},`;
  for (const [bound, count] of value.buckets) lines.push(`${name}_bucket{${before}le="${bound}"} ${count}`);
  lines.push(`${name}_bucket{${before}le="+Inf"} ${value.count}`);
  lines.push(`${name}_sum{${labels}} ${value.sum}`);
  lines.push(`${name}_count{${labels}} ${value.count}`);
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
