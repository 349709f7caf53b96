import { formatPrometheus } from "../lib/prometheus-text.ts";
import type { HistogramView, StatsRegistry } from "../lib/stats-registry.ts";
import { type AdminAnswer, type AdminPage, BadQueryError } from "./admin-page.ts";
import { compileSearch } from "./find-regex.ts";

const parameters = [
  ["usedonly", "only statistics that were ever written"],
  ["filter", "a regular expression (RE2) that names contain"],
  ["invert_filter", "only names that do not contain it"],
] as const;

export const statsPages: readonly AdminPage[] = [
  {
    path: "/stats",
    description: "print server stats",
    parameters: [
      ...parameters,
      ["format", "one of html, text, json, prometheus"],
      ["type", "one of All, Counters, Histograms, Gauges, TextReadouts"],
      ["histogram_buckets", "one of cumulative, disjoint, summary"],
    ],
    answer: ({ stats }, query) => answerStats(stats, query),
  },
  {
    path: "/stats/prometheus",
    description: "print server stats in prometheus format",
    parameters,
    answer: ({ stats }, query) => answerPrometheus(stats, query),
  },
  {
    path: "/stats/recentlookups",
    description: "show recent stat-name lookups",
    answer: () => ({ body: "Lookup tracking is not enabled. This proxy looks names up when it is configured only.\n" }),
  },
];

type Format = "text" | "json" | "html" | "prometheus";
type Buckets = "none" | "summary" | "cumulative" | "disjoint";
type Kind = "All" | "Counters" | "Gauges" | "Histograms" | "TextReadouts";

function answerStats(stats: StatsRegistry, query: URLSearchParams): AdminAnswer {
  const format = pick<Format>(query, "format", ["text", "json", "html", "prometheus"], {
    usage: "usage: /stats?format=(html|json|prometheus|text)\n\n",
  });
  if (format === "prometheus") return answerPrometheus(stats, query);
  const buckets = pick<Buckets>(query, "histogram_buckets", ["none", "summary", "cumulative", "disjoint"], {
    usage: "usage: /stats?histogram_buckets=(cumulative|disjoint|summary)\n\n",
  });
  const kind = pick<Kind>(query, "type", ["All", "Counters", "Gauges", "Histograms", "TextReadouts"], {
    usage: "usage: /stats?type=(All|Counters|Gauges|Histograms|TextReadouts)\n\n",
  });
  const isWanted = compileWanted(stats, query);
  const numbers = sortByName([
    ...(kind === "All" || kind === "Counters" ? stats.counters() : []),
    ...(kind === "All" || kind === "Gauges" ? stats.gauges() : []),
  ]).filter(([name]) => isWanted(name));
  const histograms = sortByName([...(kind === "All" || kind === "Histograms" ? stats.histograms() : [])]).filter(
    ([name]) => isWanted(name),
  );
  if (format === "json") return { type: "json", body: JSON.stringify({ stats: toJson(numbers, histograms, buckets) }) };
  const lines = [
    ...numbers.map(([name, value]) => `${name}: ${value}`),
    ...histograms.map(([name, view]) => `${name}: ${formatHistogram(view, buckets)}`),
  ];
  const body = lines.map((line) => `${line}\n`).join("");
  return format === "html" ? { type: "html", body: `<pre>${escapeHtml(body)}</pre>\n` } : { body };
}

function answerPrometheus(stats: StatsRegistry, query: URLSearchParams): AdminAnswer {
  return { body: formatPrometheus(stats, { isWanted: compileWanted(stats, query) }) };
}

function compileWanted(stats: StatsRegistry, query: URLSearchParams): (name: string) => boolean {
  const finds = compileSearch(query.get("filter"));
  const isInverted = query.has("invert_filter");
  const isUsedOnly = query.has("usedonly");
  return (name) => finds(name) !== isInverted && (!isUsedOnly || stats.isUsed(name));
}

/** The first of the choices where the parameter is not given. */
function pick<Choice extends string>(
  query: URLSearchParams,
  name: string,
  choices: readonly [Choice, ...Choice[]],
  { usage }: { readonly usage: string },
): Choice {
  const given = query.get(name);
  const choice = given === null || given === "" ? choices[0] : choices.find((one) => one === given);
  if (choice === undefined) throw new BadQueryError(usage);
  return choice;
}

function sortByName<Value>(list: readonly (readonly [string, Value])[]): readonly (readonly [string, Value])[] {
  return list.toSorted(([left], [right]) => (left < right ? -1 : Number(left > right)));
}

/** Pairs of the interval that ended last and of all times, as Envoy has them. */
function formatHistogram(view: HistogramView, buckets: Buckets): string {
  if (view.count === 0) return "No recorded values";
  if (buckets === "none" || buckets === "summary") {
    return view.quantiles
      .map(
        ([percent, value], index) =>
          `P${percent}(${formatNumber(view.interval.quantiles[index]?.[1])},${formatNumber(value)})`,
      )
      .join(" ");
  }
  const counts = listBuckets(view, buckets);
  return counts.map(([bound, interval, all]) => `B${formatNumber(bound)}(${interval},${all})`).join(" ");
}

function listBuckets(view: HistogramView, buckets: Buckets): readonly (readonly [number, number, number])[] {
  const isDisjoint = buckets === "disjoint";
  return view.buckets.map(([bound, count], index) => {
    const interval = view.interval.buckets[index]?.[1] ?? 0;
    if (!isDisjoint || index === 0) return [bound, interval, count];
    return [
      bound,
      interval - (view.interval.buckets[index - 1]?.[1] ?? 0),
      count - (view.buckets[index - 1]?.[1] ?? 0),
    ];
  });
}

function formatNumber(value = Number.NaN): string {
  if (Number.isNaN(value)) return "nan";
  return value >= 1e6 ? value.toExponential().replace(/e\+(\d)$/, "e+0$1") : String(value);
}

function toJson(
  numbers: readonly (readonly [string, number])[],
  histograms: readonly (readonly [string, HistogramView])[],
  buckets: Buckets,
): readonly unknown[] {
  const list = numbers.map(([name, value]) => ({ name, value }));
  if (histograms.length === 0) return list;
  if (buckets === "cumulative" || buckets === "disjoint") {
    const shown = histograms.map(([name, view]) => ({
      name,
      buckets: listBuckets(view, buckets).map(([upper_bound, interval, cumulative]) => ({
        upper_bound,
        interval,
        cumulative,
      })),
    }));
    return [...list, { histograms: shown }];
  }
  const computed = histograms.map(([name, view]) => ({
    name,
    values: view.quantiles.map(([, cumulative], index) => ({
      cumulative: orNull(cumulative),
      interval: orNull(view.interval.quantiles[index]?.[1]),
    })),
  }));
  const quantiles = histograms[0]?.[1].quantiles.map(([percent]) => percent);
  return [...list, { histograms: { supported_quantiles: quantiles, computed_quantiles: computed } }];
}

function orNull(value = Number.NaN): number | null {
  return Number.isNaN(value) ? null : value;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
