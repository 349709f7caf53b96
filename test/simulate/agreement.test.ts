/**
 * The simulator beside a real Envoy: both get the same listeners and the same calls, and must decide alike. What is
 * compared is what a client and an upstream can see; rules that need certificates or interception are in the other tests.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Json, toJson } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { envoyBinary } from "../../tools/envoy/fetch.ts";
import { findFreePort } from "../../tools/free-ports.ts";
import { eventually } from "../envoy/envoy-process.ts";
import { askHttp, buildClientHello, sendBytes } from "./agreement-client.ts";
import { buildChainListener, buildHttpListener, chainMatches } from "./agreement-listeners.ts";
import type { Call } from "./call.ts";
import { createProxyResources, type ProxyResources } from "./resources.ts";
import { simulate } from "./simulate.ts";

const servers: Server[] = [];
const folder = mkdtempSync(join(tmpdir(), "meltemi-agreement-"));
let envoy: ChildProcess | undefined;
let resources: ProxyResources;
let ports: { readonly plain: number; readonly ignoring: number; readonly chains: number };

beforeAll(async () => {
  const echo = createHttpServer(({ url, headersDistinct }, response) => {
    response.setHeader("x-upstream", "echo");
    // Several lines of one name count as one list, as Envoy reads them.
    const headers = Object.entries(headersDistinct).map(([name, values]) => [name, values?.join(",")]);
    response.end(JSON.stringify({ url, headers: Object.fromEntries(headers) }));
  });
  const namers = Object.keys(chainMatches).map((name) => [name, nameItself(name)] as const);
  const clusters = await Promise.all(
    [["echo", echo] as const, ...namers].map(async ([name, server]) => buildCluster(name, await listen(server))),
  );
  ports = { plain: await findFreePort(), ignoring: await findFreePort(), chains: await findFreePort() };
  const listeners = [
    buildHttpListener("plain", ports.plain),
    buildHttpListener("ignoring", ports.ignoring),
    buildChainListener(ports.chains),
  ];
  resources = createProxyResources({ listeners, clusters });
  envoy = await startEnvoy({
    listeners: listeners.map((listener) => toJson("envoy.config.listener.v3.Listener", listener)),
    clusters: clusters.map((cluster) => toJson("envoy.config.cluster.v3.Cluster", cluster)),
  });
});

afterAll(() => {
  envoy?.kill("SIGKILL");
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

const requests: readonly Omit<Call, "to">[] = [
  ...["www.example.com", "WWW.example.COM", "a.example.com", "x-a.example.com", "example.com", "www.org", "www."],
  ...["www.example.com:8080", "www.example.com:9090", "a.example.com:1", "other", "10.0.0.1:80"],
].map((host): Omit<Call, "to"> => ({ host, path: "/" }));

const paths: readonly Omit<Call, "to">[] = [
  { path: "/exact" },
  { path: "/exact?a=b" },
  { path: "/exact/" },
  { path: "/EXACT" },
  { path: "/Folded/More" },
  { path: "/whole/part" },
  { path: "/wholesale" },
  { path: "/v12?x" },
  { path: "/v12/" },
  { path: "/a/../exact" },
  { path: "/%65xact" },
  { path: "/old/a?b=c" },
  { path: "/redirect/a?b" },
  { path: "/redirect-path?q" },
  { path: "/redirect-query?q" },
  { path: "/redirect-strip?q" },
  { path: "/redirect-https", host: "other:80" },
  { path: "/redirect-https", host: "other:8080" },
  { path: "/redirect-prefix/rest?q" },
  { path: "/prefix-rewrite/a?q" },
  { path: "/exact-rewrite?q" },
  { path: "/regex-rewrite/one/two?q" },
  { path: "/host-rewrite" },
  { path: "/headers-changed", headers: { "x-appended": "0", "x-set": "0", "x-there": "0", "x-gone": "0" } },
  { path: "/headers-changed" },
  { path: "/nothing" },
];

const header = (value?: string): Omit<Call, "to"> => ({
  path: "/header",
  headers: value === undefined ? {} : { "x-test": value },
});
const headers = [
  header(),
  header("exact"),
  header("prefix-a"),
  header("b-suffix"),
  header("r42"),
  header("7"),
  header("-1"),
];
const inverted = ["/inverted", "/inverted-empty", "/absent"].flatMap((path) =>
  [{}, { "x-test": "no" }, { "x-test": "other" }].map((fields): Omit<Call, "to"> => ({ path, headers: fields })),
);
const parameters = ["", "?q", "?q=", "?q=1", "?q=2&q=1", "?p=1", "?q=a=b", "?a&q=1"].map(
  (query): Omit<Call, "to"> => ({ path: `/parameter${query}` }),
);

describe("requests", () => {
  it.each([...requests, ...paths, ...headers, ...inverted, ...parameters])("%j", async (call) => {
    for (const port of [ports.plain, ports.ignoring]) {
      const whole: Call = { host: "other", ...call, to: `127.0.0.1:${port}`, from: "127.0.0.1:40000" };
      const { outcome, trace } = simulate(resources, whole);
      const answer = await askHttp(port, whole);
      expect(describeOutcome(outcome), trace.join("\n")).toEqual(
        answer(Object.keys("requestHeaders" in outcome ? outcome.requestHeaders : {})),
      );
    }
  });
});

const tls = (sni: string, alpn: readonly string[] = []): Partial<Call> => ({ tls: { sni, alpn } });
const connections: readonly Partial<Call>[] = [
  tls("www.example.com"),
  tls("WWW.EXAMPLE.com", ["istio"]),
  tls("a.example.com"),
  tls("b.a.example.com"),
  tls("example.com"),
  tls("example.org"),
  tls(""),
  tls("", ["istio"]),
  tls("", ["h2", "istio"]),
  tls("", ["first", "second"]),
  tls("", ["second", "first"]),
  tls("special.example", ["special"]),
  tls("special.example", ["h2"]),
  { protocol: "http/1.1", path: "/" },
  { protocol: "http/1.0", path: "/" },
  { protocol: "h2" },
  { protocol: "tcp" },
  { protocol: "tcp", from: "127.0.0.2:0" },
  { protocol: "http/1.1", path: "/", from: "127.0.0.2:0" },
  { ...tls("example.org"), from: "127.0.0.2:0" },
];

describe("connections", () => {
  it.each(connections)("%j", async (call) => {
    const whole: Call = { from: "127.0.0.1:40000", ...call, to: `127.0.0.1:${ports.chains}` };
    const { outcome, trace } = simulate(resources, whole);
    const bytes = await firstBytes(whole);
    const name = await sendBytes({ port: ports.chains, from: whole.from?.split(":")[0] ?? "", bytes });
    expect("cluster" in outcome ? outcome.cluster : outcome.result, trace.join("\n")).toBe(name);
  });
});

/** What of an outcome can be seen from outside. */
function describeOutcome(outcome: ReturnType<typeof simulate>["outcome"]): unknown {
  switch (outcome.result) {
    case "http":
      return { status: 200, path: outcome.path, host: outcome.host, headers: outcome.requestHeaders };
    case "redirect":
      return { status: outcome.status, location: outcome.location };
    case "answer":
      return { status: outcome.status, body: outcome.body };
    default:
      return outcome;
  }
}

async function firstBytes({ tls: hello, protocol }: Call): Promise<Buffer> {
  if (typeof hello === "object") return buildClientHello(hello.sni ?? "", hello.alpn ?? []);
  if (protocol === "h2") return Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  if (protocol === "tcp") return Buffer.from("bytes that are no HTTP\n");
  return Buffer.from(`GET / ${protocol?.toUpperCase()}\r\nhost: a\r\n\r\n`);
}

/** Says its name to whoever says anything. */
function nameItself(name: string): Server {
  return createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(name));
  });
}

function listen(server: Server): Promise<number> {
  servers.push(server);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

function buildCluster(name: string, port: number): Cluster {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  return {
    name,
    type: "STATIC",
    connect_timeout: { seconds: 5 },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}

async function startEnvoy(static_resources: {
  readonly listeners: readonly Json[];
  readonly clusters: readonly Json[];
}) {
  const port = await findFreePort();
  const file = join(folder, "bootstrap.json");
  const admin = { address: { socket_address: { address: "127.0.0.1", port_value: port } } };
  writeFileSync(file, JSON.stringify({ admin, static_resources }));
  const args = ["-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"];
  const child = spawn(await envoyBinary(), args, { stdio: ["ignore", "inherit", "inherit"] });
  await eventually("Envoy is ready", async () => (await fetch(`http://127.0.0.1:${port}/ready`)).status === 200);
  return child;
}
