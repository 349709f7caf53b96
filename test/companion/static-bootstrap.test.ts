/**
 * Envoy's first example, google_com_proxy, given to Envoy and to the companion proxy as the file that it is: requests to a
 * port lead to www.google.com over TLS. That host alone is another one, a TLS server of this test, and the ports are such
 * that both can run at once.
 */
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { holdPorts } from "../../tools/free-ports.ts";
import { type DataPlane, dataPlanes, eventually } from "../envoy/envoy-process.ts";
import { startStaticProgram } from "./static-program.ts";
import { largeBytes, listHeaders, type SeenOverTls, startTlsServer, type TlsServer } from "./tls-server.ts";

const example = readFileSync(new URL("google-com-proxy.yaml", import.meta.url), "utf8");

interface Question {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const questions: readonly Question[] = [
  { path: "/search?q=a" },
  { path: "/p", method: "POST", body: "ahoy", headers: { "content-length": "4", "x-request-id": "mine" } },
  { path: "/p", method: "POST", body: "ahoy", headers: { "transfer-encoding": "chunked" } },
  {
    path: "/p",
    headers: { "x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https", te: "trailers", Cookie: "a=b" },
  },
  { path: "/", method: "HEAD" },
  { path: "/missing" },
  { path: "/unchanged" },
  { path: "/empty" },
  { path: "/large" },
  { path: "/torn" },
];

interface Answer {
  readonly status: number | undefined;
  readonly headers: readonly string[];
  readonly body: string;
  readonly length: number;
}

function ask(port: number, { path, method = "GET", headers = {}, body = "" }: Question): Promise<Answer> {
  const options = { host: "127.0.0.1", port, path, method, headers: { host: "any.example", ...headers }, agent: false };
  return new Promise((resolve, reject) => {
    const call = request(options, (response) => {
      const answer = async (): Promise<Answer> => {
        const text = Buffer.concat(await response.toArray()).toString();
        const lines = listHeaders(response.rawHeaders).map(withoutChance).toSorted();
        return { status: response.statusCode, headers: lines, body: text.slice(0, 200), length: text.length };
      };
      answer().then(resolve, reject);
    });
    call.on("error", reject);
    call.end(body);
  });
}

/** Everything that is another one for each request or run. */
function withoutChance(text: string): string {
  return text
    .replaceAll(/[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}/g, "ID")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(/^(date|x-envoy-upstream-service-time): .+$/i, "$1: SOME");
}

/** All that came of one proxy. */
interface Outcome {
  readonly answers: readonly Answer[];
  readonly seen: readonly SeenOverTls[];
  readonly pages: Readonly<Record<"clusters" | "listeners" | "config_dump" | "stats", string>>;
  readonly exitCode: number | null;
  readonly log: readonly string[];
}

async function run(plane: DataPlane, ending: "yaml" | "json", server: TlsServer): Promise<Outcome> {
  const held = await holdPorts(2);
  const [port = 0, adminPort = 0] = held.ports;
  const yaml = example
    .replaceAll("www.google.com", "localhost")
    .replace("port_value: 443 ", `port_value: ${server.port} `)
    .replace("port_value: 10000 ", `port_value: ${port} `);
  const text = ending === "json" ? JSON.stringify(parse(yaml)) : yaml;
  const program = await startStaticProgram({ plane, adminPort, file: { text, ending } });
  try {
    const answers: Answer[] = [];
    for (const question of questions) answers.push(await ask(port, question));
    const seen = server.takeSeen().map((each) => ({ ...each, headers: each.headers.map(withoutChance) }));
    const page = async (path: string): Promise<string> => {
      const text = withoutChance(await program.admin(path));
      return text.replaceAll(digits(port), "10000").replaceAll(digits(adminPort), "9901");
    };
    // The last connection may still be on its way out.
    const left = "/stats?filter=ingress_http.downstream_cx_active";
    await eventually("no client is left", async () => (await page(left)).trimEnd().endsWith(": 0"));
    const [clusters, listeners] = [await page("/clusters"), await page("/listeners")];
    const pages = {
      clusters,
      listeners,
      config_dump: await page("/config_dump"),
      stats: await page("/stats?usedonly"),
    };
    const { code, output } = await program.quit();
    return { answers, seen, pages, exitCode: code, log: output.trimEnd().split("\n").map(withoutDurations) };
  } finally {
    await program.stop();
    await held.release();
  }
}

const digits = (port: number): RegExp => new RegExp(`(?<!\\d)${port}(?!\\d)`, "g");

/** A line of the log; of the times of a request, which come after the bytes, it only says whether they are there. */
function withoutDurations(line: string): string {
  return withoutChance(line).replace(/(" \d{3} \S+ \d+ \d+) \d+ (?:\d+|(-)) /, "$1 MS $2 ");
}

/** Counters and gauges of the example's own parts that have counted something. */
function listStats(text: string): readonly string[] {
  const own =
    /^(?:cluster\.service_google|http\.ingress_http|listener\.0\.0\.0\.0_10000|listener_manager)\..+: [1-9]\d*$/;
  // There are no threads here, and Node does not tell which curves and signatures TLS took. How often a name was looked up
  // and reading was paused, and in how many pieces an answer went, is a matter of speed.
  const foreign =
    /\.(?:ssl\.curves|ssl\.sigalgs|worker_0)\.|default\.total_match_count:|google\.update_|_flow_control_|downstream_cx_tx_bytes_total:/;
  return text.split("\n").filter((line) => own.test(line) && !foreign.test(line));
}

describe.each(["yaml", "json"] as const)("google_com_proxy as %s", (ending) => {
  let server: TlsServer;
  let [envoy, companion]: [Outcome?, Outcome?] = [];
  beforeAll(async () => {
    server = await startTlsServer();
    const outcomes: Outcome[] = [];
    for (const plane of dataPlanes) outcomes.push(await run(plane, ending, server));
    [envoy, companion] = outcomes;
  });
  afterAll(() => server.stop());

  it("answers the same", () => {
    expect(companion?.answers).toEqual(envoy?.answers);
    const statuses = companion?.answers.map(({ status }) => status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 404, 304, 204, 200, 503]);
    expect(companion?.answers[1]?.body).toBe("hello ahoy");
    expect(companion?.answers[8]?.length).toBe(largeBytes);
  });

  it("leads to the host under its name, over TLS", () => {
    expect(companion?.seen).toEqual(envoy?.seen);
    expect(companion?.seen).toHaveLength(questions.length);
    for (const { serverName, headers, version } of companion?.seen ?? []) {
      expect({ serverName, host: headers[0], version }).toEqual({
        serverName: "localhost",
        host: "host: localhost",
        version: "TLSv1.2",
      });
    }
  });

  it("writes the same log", () => {
    expect(companion?.log).toEqual(envoy?.log);
    expect(companion?.log).toHaveLength(questions.length);
    expect([envoy?.exitCode, companion?.exitCode]).toEqual([0, 0]);
  });

  it("shows the same on its pages", () => {
    expect(companion?.pages.clusters).toBe(envoy?.pages.clusters);
    expect(companion?.pages.clusters).toContain(`service_google::127.0.0.1:${server.port}::rq_success::9\n`);
    expect(companion?.pages.listeners).toBe(envoy?.pages.listeners);
    expect(readDump(companion?.pages.config_dump)).toEqual(readDump(envoy?.pages.config_dump));
    expect(listStats(companion?.pages.stats ?? "")).toEqual(listStats(envoy?.pages.stats ?? ""));
    expect(listStats(companion?.pages.stats ?? "")).toContain("http.ingress_http.downstream_rq_2xx: 7");
  });
});

function readDump(text = ""): unknown {
  const { configs } = JSON.parse(text) as {
    readonly configs: readonly { readonly bootstrap?: { readonly node?: unknown } }[];
  };
  // Who a proxy says it is is its own affair.
  return configs.map((config) =>
    config.bootstrap ? { ...config, bootstrap: { ...config.bootstrap, node: 0 } } : config,
  );
}
