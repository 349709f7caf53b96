import { formatPrometheus } from "../lib/prometheus-text.ts";
import type { HistogramView, StatLists, StatsRegistry } from "../lib/stats-registry.ts";
import { type AdminAnswer, type AdminPage, BadQueryError } from "./admin-page.ts";
import { compileSearch } from "./find-regex.ts";
import { inTurns } from "./in-turns.ts";
import type { AdminSource } from "./types.ts";

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
    answer: answerStats,
  },
  {
    path: "/stats/prometheus",
    description: "print server stats in prometheus format",
    parameters,
    answer: answerPrometheus,
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

type Source = Pick<AdminSource, "stats" | "clock">;

function answerStats({ stats, clock }: Source, query: URLSearchParams): AdminAnswer {
  const format = pick<Format>(query, "format", ["text", "json", "html", "prometheus"], {
    usage: "usage: /stats?format=(html|json|prometheus|text)\n\n",
  });
  if (format === "prometheus") return answerPrometheus({ stats, clock }, query);
  const buckets = pick<Buckets>(query, "histogram_buckets", ["none", "summary", "cumulative", "disjoint"], {
    usage: "usage: /stats?histogram_buckets=(cumulative|disjoint|summary)\n\n",
  });
  const kind = pick<Kind>(query, "type", ["All", "Counters", "Gauges", "Histograms", "TextReadouts"], {
    usage: "usage: /stats?type=(All|Counters|Gauges|Histograms|TextReadouts)\n\n",
  });
  const shown = { parts: stats.parts(), isWanted: compileWanted(stats, query), kind, buckets };
  if (format === "json") return { type: "json", body: inTurns(writeJson(shown), clock) };
  if (format === "text") return { body: inTurns(writeText(shown), clock) };
  return { type: "html", body: inTurns(writeHtml(shown), clock) };
}

function answerPrometheus({ stats, clock }: Source, query: URLSearchParams): AdminAnswer {
  return { body: inTurns(formatPrometheus(stats, { isWanted: compileWanted(stats, query) }), clock) };
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

interface Shown {
  readonly parts: readonly StatLists[];
  readonly isWanted: (name: string) => boolean;
  readonly kind: Kind;
  readonly buckets: Buckets;
}

type Named<Value> = readonly (readonly [name: string, value: Value])[];

/** Counters and gauges of a part, by name. */
function listNumbers({ kind, isWanted }: Shown, part: StatLists): Named<number> {
  const counters = kind === "All" || kind === "Counters" ? part.counters() : [];
  const gauges = kind === "All" || kind === "Gauges" ? part.gauges() : [];
  return sortByName([...counters, ...gauges].filter(([name]) => isWanted(name)));
}

function listHistograms({ kind, isWanted }: Shown, part: StatLists): Named<HistogramView> {
  const histograms = kind === "All" || kind === "Histograms" ? part.histograms() : [];
  return sortByName([...histograms].filter(([name]) => isWanted(name)));
}

function sortByName<Value>(list: Named<Value>): Named<Value> {
  return list.toSorted(([left], [right]) => (left < right ? -1 : Number(left > right)));
}

function* writeText(shown: Shown): Generator<string, void> {
  for (const part of shown.parts) {
    yield listNumbers(shown, part)
      .map(([name, value]) => `${name}: ${value}\n`)
      .join("");
  }
  for (const part of shown.parts) {
    yield listHistograms(shown, part)
      .map(([name, view]) => `${name}: ${formatHistogram(view, shown.buckets)}\n`)
      .join("");
  }
}

function* writeHtml(shown: Shown): Generator<string, void> {
  yield "<pre>";
  for (const text of writeText(shown)) yield escapeHtml(text);
  yield "</pre>\n";
}

/** `{"stats": [{"name", "value"}, ..., {"histograms": ...}]}` */
function* writeJson(shown: Shown): Generator<string, void> {
  yield '{"stats":[';
  const hasNumbers = yield* writeJsonNumbers(shown);
  yield* writeJsonHistograms(shown, hasNumbers);
  yield "]}";
}

/** True where there was any. */
function* writeJsonNumbers(shown: Shown): Generator<string, boolean> {
  let hasItems = false;
  for (const part of shown.parts) {
    for (const [name, value] of listNumbers(shown, part)) {
      yield `${hasItems ? "," : ""}${JSON.stringify({ name, value })}`;
      hasItems = true;
    }
    yield "";
  }
  return hasItems;
}

/** One more item for all of them, where there are any. */
function* writeJsonHistograms(shown: Shown, isBehindOthers: boolean): Generator<string, void> {
  const { buckets } = shown;
  const isByBucket = buckets === "cumulative" || buckets === "disjoint";
  let hasItems = false;
  for (const part of shown.parts) {
    for (const [name, view] of listHistograms(shown, part)) {
      const item = isByBucket ? bucketsToJson(name, view, buckets) : quantilesToJson(name, view);
      const head = `${isBehindOthers ? "," : ""}{"histograms":${isByBucket ? "" : openQuantiles(view)}[`;
      yield `${hasItems ? "," : head}${JSON.stringify(item)}`;
      hasItems = true;
    }
    yield "";
  }
  if (hasItems) yield isByBucket ? "]}" : "]}}";
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

function bucketsToJson(name: string, view: HistogramView, buckets: Buckets): object {
  const counts = listBuckets(view, buckets);
  return {
    name,
    buckets: counts.map(([upper_bound, interval, cumulative]) => ({ upper_bound, interval, cumulative })),
  };
}

function openQuantiles(view: HistogramView): string {
  const quantiles = view.quantiles.map(([percent]) => percent);
  return `{"supported_quantiles":${JSON.stringify(quantiles)},"computed_quantiles":`;
}

function quantilesToJson(name: string, view: HistogramView): object {
  return {
    name,
    values: view.quantiles.map(([, cumulative], index) => ({
      cumulative: orNull(cumulative),
      interval: orNull(view.interval.quantiles[index]?.[1]),
    })),
  };
}

function orNull(value = Number.NaN): number | null {
  return Number.isNaN(value) ? null : value;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
