import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../../../src/lib/clock.ts";
import { silentLog } from "../../../../src/lib/log.ts";
import { createAgentMetrics } from "./agent-metrics.ts";
import { type MergedPage, mergeMetrics } from "./merged-metrics.ts";
import { filterAccept } from "./metrics-format.ts";
import { parseScrapeTargets } from "./scrape-config.ts";

interface Source {
  readonly port: number;
  readonly seen: { readonly url: string; readonly headers: IncomingHttpHeaders }[];
}

type Answer = { readonly type?: string; readonly body?: string; readonly status?: number } | "silence" | "endless";

async function startSource(answer: Answer): Promise<Source> {
  const seen: Source["seen"] = [];
  const server = createServer(({ url = "", headers }, response) => {
    seen.push({ url, headers });
    if (answer === "silence") return;
    if (answer === "endless") {
      const chunk = Buffer.alloc(1024 * 1024, "a");
      const write = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on("drain", write);
      return write();
    }
    response.writeHead(answer.status ?? 200, { "content-type": answer.type ?? "text/plain; version=0.0.4" });
    response.end(answer.body ?? "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

const envoyText = "# TYPE envoy_server_state gauge\nenvoy_server_state{} 0\n";

interface Given {
  readonly applications: readonly Answer[];
  readonly envoy?: Answer;
  readonly headers?: IncomingHttpHeaders;
}

interface Merged extends MergedPage {
  readonly envoy: Source;
  readonly sources: readonly Source[];
  /** Of the next page. */
  readonly failures: string;
}

async function merge({ applications, envoy: envoyAnswer = { body: envoyText }, headers = {} }: Given): Promise<Merged> {
  const envoy = await startSource(envoyAnswer);
  const sources = await Promise.all(applications.map(startSource));
  const streams = () => ({ requests: 3, responses: 2, failures: 1 });
  const gauges = { certificateEndMs: () => 61_000, isConnected: () => true, streams, names: () => undefined };
  const metrics = createAgentMetrics({ gauges, now: () => 1_000 });
  const options = {
    metrics,
    envoyPort: envoy.port,
    host: "127.0.0.1",
    targets: sources.map(({ port }) => ({ port, path: "/metrics" })),
    clock: systemClock,
    log: silentLog,
  };
  const page = await mergeMetrics(options, { headers, query: "usedonly&filter=x" });
  const lines = (await metrics.render()).split("\n");
  return { ...page, envoy, sources, failures: lines.filter((line) => line.startsWith("istio_agent_scrape")).join(" ") };
}

const openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";

describe("merged metrics", () => {
  it("are the agent's, Envoy's and the application's, a line each", async () => {
    const merged = await merge({ applications: [{ body: 'orders_total{shop="a b"} 7' }] });
    for (const line of [
      'istio_agent_cert_expiry_seconds{resource_name="default"} 60',
      "istio_agent_num_outgoing_requests 3",
      "istio_agent_istiod_connection_failures 1",
      "envoy_server_state{} 0",
      'orders_total{shop="a b"} 7',
    ]) {
      expect(merged.body.split("\n")).toContain(line);
    }
    expect(merged.contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(merged.body.endsWith("7\n")).toBe(true);
    expect(merged.envoy.seen[0]?.url).toBe("/stats/prometheus?usedonly&filter=x");
  });

  it.each<[string, Answer]>([
    ["refuses", { status: 500, body: "x 1\n" }],
    ["is silent", "silence"],
    ["has no end", "endless"],
    ["answers with a page", { type: "text/html", body: "<html><body>hello there</body></html>" }],
    ["answers with half a page of metrics", { body: "x 1\n{{oops\n" }],
  ])("keep Envoy's where an application %s", async (_what, broken) => {
    const headers = { "x-prometheus-scrape-timeout-seconds": "1" };
    const merged = await merge({ applications: [broken, { body: "good 1\n" }], headers });
    expect(merged.body).toContain("envoy_server_state{} 0\n");
    expect(merged.body).toContain("good 1\n");
    expect(merged.body).not.toContain("x 1");
    expect(merged.failures).toContain('istio_agent_scrape_failures_total{type="application"} 1');
  });

  it("keep the application's where Envoy does not answer", async () => {
    const merged = await merge({ applications: [{ body: "good 1\n" }], envoy: { status: 503 } });
    expect(merged.body).toContain("good 1\n");
    expect(merged.failures).toContain('istio_agent_scrape_failures_total{type="envoy"} 1');
    expect(merged.failures).toContain("istio_agent_scrapes_total 1");
  });

  it("are OpenMetrics with one end where all applications speak it, and text where they differ", async () => {
    const body = "a_total 1\n# EOF\n";
    const same = await merge({
      applications: [
        { type: openMetrics, body },
        { type: openMetrics, body: "b_total 1\n# EOF" },
      ],
    });
    expect(same.contentType).toBe(openMetrics);
    expect(same.body.match(/# EOF/g)).toEqual(["# EOF"]);
    expect(same.body.endsWith("a_total 1\nb_total 1\n# EOF\n")).toBe(true);
    const mixed = await merge({ applications: [{ type: openMetrics, body }, { body: "b 1\n" }] });
    expect(mixed.contentType).toContain("text/plain");
    expect(mixed.body).not.toContain("# EOF");
  });

  it("ask each source for what can be merged, in Prometheus' name", async () => {
    const accept = "application/vnd.google.protobuf;q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.1";
    const headers = { accept, "user-agent": "Prometheus/3", cookie: "secret" };
    const { envoy, sources } = await merge({ applications: [{ body: "x 1\n" }], headers });
    expect(envoy.seen[0]?.headers["accept"]).toBe("text/plain;version=0.0.4;q=0.1");
    expect(sources[0]?.seen[0]?.headers["accept"]).toBe(
      "application/openmetrics-text;version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.1",
    );
    expect(sources[0]?.seen[0]?.headers).toMatchObject({ "user-agent": "Prometheus/3" });
    expect(sources[0]?.seen[0]?.headers["cookie"]).toBeUndefined();
  });
});

describe("formats", () => {
  it.each([
    [undefined, true, "text/plain;version=0.0.4"],
    ["*/*", true, "text/plain;version=0.0.4;q=0.1"],
    ["application/*", true, "application/openmetrics-text;version=0.0.1;q=0.1"],
    ["application/*", false, "text/plain;version=0.0.4"],
    ["image/png, ;;", true, "text/plain;version=0.0.4"],
    ["TEXT/PLAIN;version=0.0.4;q=0.5,text/plain;version=0.0.4", true, "text/plain;version=0.0.4;q=0.1"],
  ])("of %s become %s", (accept, takesOpenMetrics, expected) => {
    expect(filterAccept(accept, takesOpenMetrics)).toBe(expected);
  });
});

describe("targets", () => {
  it.each([
    ["", []],
    ['{"scrape":"false","port":"1"}', []],
    ['{"scrape":"true"}', [{ port: 80, path: "/metrics" }]],
    ['{"scrape":"true","port":"9102","path":"stats"}', [{ port: 9102, path: "/stats" }]],
    [
      '{"scrape":"true","targets":[{"port":"1","path":"/a"},{"port":"2"}]}',
      [
        { port: 1, path: "/a" },
        { port: 2, path: "/metrics" },
      ],
    ],
  ])("%s", (text, expected) => {
    expect(parseScrapeTargets(text, 15020)).toEqual(expected);
  });
});

it.each(["15020", "015020", "15090", "15000", "0", "70000", "http"])("AGENT-3 port %s is refused", (port) => {
  expect(() => parseScrapeTargets(JSON.stringify({ port }), 15020)).toThrow(/^ISTIO_PROMETHEUS_ANNOTATIONS/);
  expect(() => parseScrapeTargets(JSON.stringify({ targets: [{ port }] }), 15020)).toThrow(/^ISTIO_PROM/);
});
