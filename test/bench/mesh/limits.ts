/**
 * What the figures are meant to stay below, on two cores that the load generator shares, with 1,000 proxies and 1,000
 * services of two endpoints, in the state of the world.
 */
import type { FigureName, Figures } from "./figures.ts";
import type { Row, Run } from "./results.ts";

type Limits = Readonly<Partial<Record<FigureName, number>>>;

const limits: Readonly<Record<string, Limits>> = {
  storm: { maxMs: 8000, cpuSeconds: 5, rssBytes: 500e6 },
  endpoint: { p50Ms: 130, p99Ms: 350, cpuSeconds: 0.5, rssBytes: 500e6 },
  "virtual-service": { p99Ms: 1200, cpuSeconds: 1, rssBytes: 500e6 },
  scopes: { bytesElsewhere: 0 },
  "scopes-route": { bytesElsewhere: 0 },
  "slow-readers": { rssGrowthBytes: 100e6 },
  "one more proxy": { rssBytes: 60_000 },
};

/** Those that another figure of the same row decides. */
const relativeLimits: Readonly<Record<string, (figures: Figures) => Limits>> = {
  churn: ({ rssStartBytes }) => (rssStartBytes === undefined ? {} : { rssGrowthBytes: rssStartBytes / 10 }),
  "slow-readers": ({ undisturbedP99Ms }) => (undisturbedP99Ms === undefined ? {} : { p99Ms: undisturbedP99Ms * 2 }),
};

/** The same with few proxies. */
const limitsOfFew: Readonly<Record<string, Limits>> = { endpoint: { p50Ms: 20 } };

/** Undefined where nothing is promised. */
export function findLimit(
  { size, source, variant }: Run,
  { scenario, figures }: Row,
  name: FigureName,
): number | undefined {
  if (source !== "memory" || variant !== "sotw" || size.services !== 1000 || size.endpoints !== 2) return undefined;
  if (size.proxies === 1000) return limits[scenario]?.[name] ?? relativeLimits[scenario]?.(figures)[name];
  return size.proxies === 50 ? limitsOfFew[scenario]?.[name] : undefined;
}
