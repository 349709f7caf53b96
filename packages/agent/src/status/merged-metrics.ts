/**
 * One page of metrics for Prometheus: the agent's, Envoy's and the application's. A part that cannot be had, or is not
 * made of metrics, is left out and counted; it never takes the others with it.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import type { AgentMetrics } from "./agent-metrics.ts";
import { filterAccept, findFormat, isMetricsText, isOpenMetrics, plainText, trimMetrics } from "./metrics-format.ts";
import { findTimeout, type Scraped, scrape } from "./scrape.ts";
import type { ScrapeTarget } from "./scrape-config.ts";

export interface MergedMetricsOptions {
  readonly metrics: AgentMetrics;
  /** Envoy's port of metrics; undefined where its metrics are not merged. */
  readonly envoyPort: number | undefined;
  /** Where Envoy and the application listen. */
  readonly host: string;
  readonly targets: readonly ScrapeTarget[];
  readonly clock: Clock;
  readonly log: Log;
}

export interface MetricsRequest {
  readonly headers: IncomingHttpHeaders;
  /** Without the question mark; "" where there is none. Envoy takes filters in it. */
  readonly query: string;
}

export interface MergedPage {
  readonly contentType: string;
  readonly body: string;
}

/** Istio's limit for one of several targets; here it holds for each. */
const maxApplicationBytes = 10 * 1024 * 1024;
/** An Envoy in a large mesh has some tens of megabytes. */
const maxEnvoyBytes = 256 * 1024 * 1024;

export async function mergeMetrics(options: MergedMetricsOptions, asked: MetricsRequest): Promise<MergedPage> {
  options.metrics.countScrape();
  const [agent, envoy, applications] = await Promise.all([
    readAgent(options),
    readEnvoy(options, asked),
    Promise.all(options.targets.map((target) => readApplication(options, asked, target))),
  ]);
  const given = applications.filter((part): part is Scraped => part !== undefined);
  const formats = new Set(given.map(({ contentType }) => findFormat(contentType)));
  // Parts of several formats can only be plain text together.
  const [format = plainText] = formats.size === 1 ? formats : [];
  const parts = [agent, envoy, ...given.map(({ text }) => text)].map(trimMetrics);
  return { contentType: format, body: `${parts.join("")}${isOpenMetrics(format) ? "# EOF\n" : ""}` };
}

async function readAgent({ metrics, log }: MergedMetricsOptions): Promise<string> {
  try {
    return await metrics.render();
  } catch (error: unknown) {
    metrics.countFailure("agent");
    log.error("the agent's metrics could not be read", { error });
    return "";
  }
}

async function readEnvoy(options: MergedMetricsOptions, { headers, query }: MetricsRequest): Promise<string> {
  const { envoyPort: port, host, clock, metrics, log } = options;
  if (port === undefined) return "";
  const path = `/stats/prometheus${query === "" ? "" : `?${query}`}`;
  const limits = { timeoutMs: findTimeout(headers), maxBytes: maxEnvoyBytes };
  const accept = filterAccept(headers.accept, false);
  try {
    return (await scrape({ host, port, path, accept, headers, ...limits }, clock)).text;
  } catch (error: unknown) {
    metrics.countFailure("envoy");
    log.warn("Envoy's metrics could not be read", { error: describe(error) });
    return "";
  }
}

async function readApplication(
  { host, clock, metrics, log }: MergedMetricsOptions,
  { headers }: MetricsRequest,
  { port, path }: ScrapeTarget,
): Promise<Scraped | undefined> {
  const limits = { timeoutMs: findTimeout(headers), maxBytes: maxApplicationBytes };
  const accept = filterAccept(headers.accept, true);
  try {
    const scraped = await scrape({ host, port, path, accept, headers, ...limits }, clock);
    if (!isMetricsText(scraped.text)) throw new Error("the answer is not made of metrics");
    return scraped;
  } catch (error: unknown) {
    metrics.countFailure("application");
    log.warn("the application's metrics could not be read", { port, path, error: describe(error) });
    return undefined;
  }
}

const describe = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
