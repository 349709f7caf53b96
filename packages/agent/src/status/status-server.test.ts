import { createServer as createHttpServer, type IncomingHttpHeaders, request, type Server } from "node:http";
import { createServer as createHttp2Server, type Http2Server } from "node:http2";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../../../src/lib/clock.ts";
import { silentLog } from "../../../../src/lib/log.ts";
import { parseAppProbers } from "./app-probers.ts";
import { createStatusPages, type StatusServer, type StatusServerOptions, startStatusServer } from "./status-server.ts";

interface Listening {
  listen(port: number, host: string, run: () => void): unknown;
  address(): AddressInfo | string | null;
  close(): unknown;
}

/** The port of a server that ends with the test. */
async function listen(server: Listening): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

interface Seen {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

interface App {
  readonly port: number;
  readonly seen: Seen[];
}

async function startApp(answer: (seen: Seen) => { status: number; location?: string; body?: string }): Promise<App> {
  const seen: Seen[] = [];
  const server: Server = createHttpServer(({ url = "", headers }, response) => {
    seen.push({ url, headers });
    const { status, location, body = "" } = answer({ url, headers });
    response.writeHead(status, location === undefined ? {} : { location }).end(body);
  });
  return { port: await listen(server), seen };
}

/** A health service that says the status, in gRPC's own bytes; no status: it does not know the service. */
async function startHealth(status: number | undefined): Promise<{ readonly port: number; readonly seen: string[] }> {
  const seen: string[] = [];
  const server: Http2Server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      seen.push(`${headers[":path"]} ${headers["user-agent"]} ${Buffer.concat(parts).toString("hex")}`);
      if (status === undefined) return stream.respond({ ":status": 200, "grpc-status": "12" }, { endStream: true });
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      return stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
    });
  });
  return { port: await listen(server), seen };
}

const defaults: StatusServerOptions = {
  host: "127.0.0.1",
  port: 0,
  checkReadiness: async () => undefined,
  readMetrics: async () => ({ contentType: "text/plain", body: "up 1\n" }),
  hasLocalMetrics: false,
  probers: new Map(),
  probeTarget: { host: "127.0.0.1", localAddress: "127.0.0.6" },
  drain: () => undefined,
  quit: () => undefined,
  readNameTable: () => undefined,
  clock: systemClock,
  log: silentLog,
};

async function start(options: Partial<StatusServerOptions> = {}): Promise<StatusServer> {
  const server = await startStatusServer({ ...defaults, ...options });
  onTestFinished(() => server.stop());
  return server;
}

const path = "/app-health/app/readyz";

/** What a kubelet is answered whose probe is this one. */
async function probe(prober: object, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const server = await start({ probers: parseAppProbers(JSON.stringify({ [path]: prober })) });
  return fetch(`http://127.0.0.1:${server.port}${path}`, { headers, redirect: "manual" });
}

describe("probes of kind httpGet", () => {
  it.each([200, 204, 404, 503])("pass on status %i with the body's beginning", async (status) => {
    const app = await startApp(() => ({ status, body: status === 204 ? "" : "x".repeat(20_000) }));
    const answer = await probe({ httpGet: { path: "live?deep=1", port: app.port } });
    expect(answer.status).toBe(status);
    expect((await answer.text()).length).toBe(status === 204 ? 0 : 10 * 1024);
    expect(app.seen[0]?.url).toBe("/live?deep=1");
  });

  it.each([
    ["10.1.0.9:15020", (port: number) => `10.1.0.9:${port}`],
    ["shop.test", () => "shop.test"],
    ["shop.test:8080", () => "shop.test:8080"],
  ])("name the application's port where Host named the agent's: %s", async (host, expected) => {
    const app = await startApp(() => ({ status: 200 }));
    const probers = parseAppProbers(JSON.stringify({ [path]: { httpGet: { port: app.port } } }));
    const pages = createStatusPages({ ...defaults, probers, port: 15020 });
    expect((await pages.inject({ url: path, headers: { host } })).statusCode).toBe(200);
    expect(app.seen[0]?.headers.host).toBe(expected(app.port));
  });

  it("send the kubelet's headers", async () => {
    const app = await startApp(() => ({ status: 200 }));
    await probe({ httpGet: { path: "/", port: app.port } }, { "user-agent": "kube-probe/1.33", "x-own": "1" });
    expect(app.seen[0]?.headers).toMatchObject({ "user-agent": "kube-probe/1.33", "x-own": "1" });
    // Nothing of the connection between the kubelet and the agent.
    expect(app.seen[0]?.headers["connection"]).toBe("close");
  });

  it.each([
    ["on the same host are followed", (port: number) => `http://127.0.0.1:${port}/end`, 418],
    ["on the same host by path are followed", () => "/end", 418],
    ["to another host are a success", () => "http://other.test/", 200],
    ["without an end fail", () => "/again", 500],
  ])("redirects %s", async (_what, location, expected) => {
    const app: App = await startApp(({ url }) =>
      url === "/end" ? { status: 418 } : { status: 302, location: location(app.port) },
    );
    expect((await probe({ httpGet: { path: "/", port: app.port } })).status).toBe(expected);
  });

  it("fail where nobody listens, and where the answer takes too long", async () => {
    const app = await startApp(() => ({ status: 200 }));
    const silent = createTcpServer();
    const port = await listen(silent);
    expect((await probe({ httpGet: { path: "/", port }, timeoutSeconds: 0.2 })).status).toBe(500);
    expect((await probe({ httpGet: { path: "/", port: app.port, scheme: "HTTPS" } })).status).toBe(500);
  });
});

describe("probes of other kinds", () => {
  it("tcpSocket succeeds where the port takes a connection", async () => {
    const app = await startApp(() => ({ status: 200 }));
    expect((await probe({ tcpSocket: { port: app.port } })).status).toBe(200);
    const gone = createTcpServer();
    const port = await listen(gone);
    await new Promise((resolve) => gone.close(resolve));
    expect((await probe({ tcpSocket: { port } })).status).toBe(500);
  });

  it.each([
    ["serving", 1, 200],
    ["not serving", 2, 500],
    ["not knowing the service", undefined, 500],
  ])("grpc: a service %s", async (_what, status, expected) => {
    const health = await startHealth(status);
    const prober = { grpc: { port: health.port, service: "cart" }, timeoutSeconds: 5 };
    expect((await probe(prober, { "user-agent": "kube-probe/1.33" })).status).toBe(expected);
    expect(health.seen).toEqual(["/grpc.health.v1.Health/Check kube-probe/1.33 00000000060a0463617274"]);
  });

  it("one that nobody set up is refused", async () => {
    const server = await start();
    expect((await fetch(`http://127.0.0.1:${server.port}/app-health/other/livez`)).status).toBe(400);
  });

  it.each([
    ["no JSON", "{"],
    ["a port with a name", JSON.stringify({ [path]: { httpGet: { port: "http" } } })],
    ["two kinds", JSON.stringify({ [path]: { httpGet: { port: 1 }, tcpSocket: { port: 1 } } })],
    ["another path", JSON.stringify({ "/quitquitquit": { tcpSocket: { port: 1 } } })],
  ])("are refused at the start: %s", (_what, text) => {
    expect(() => parseAppProbers(text)).toThrow(/^ISTIO_KUBE_APP_PROBERS/);
  });
});

describe("the agent's port", () => {
  it("says whether the proxy is ready, and what is missing", async () => {
    let missing: string | undefined = "no configuration";
    const server = await start({ checkReadiness: async () => missing });
    const url = `http://127.0.0.1:${server.port}/healthz/ready`;
    const answer = await fetch(url);
    expect([answer.status, await answer.text()]).toEqual([503, "no configuration\n"]);
    missing = undefined;
    expect((await fetch(url)).status).toBe(200);
  });

  it("compresses large pages for those who take it", async () => {
    const body = "metric_with_a_long_name 1\n".repeat(1000);
    const server = await start({ readMetrics: async () => ({ contentType: "text/plain", body }) });
    const ask = (accepted: string): Promise<{ encoding: string | undefined; raw: Buffer }> =>
      new Promise((resolve, reject) => {
        const headers = { "accept-encoding": accepted };
        const call = request({ host: "127.0.0.1", port: server.port, path: "/metrics", headers }, async (response) => {
          const parts: Buffer[] = [];
          for await (const part of response as AsyncIterable<Buffer>) parts.push(part);
          resolve({ encoding: response.headers["content-encoding"], raw: Buffer.concat(parts) });
        });
        call.on("error", reject);
        call.end();
      });
    const packed = await ask("br;q=1, gzip");
    expect(packed.encoding).toBe("gzip");
    expect((await promisify(gunzip)(packed.raw)).toString()).toBe(body);
    for (const accepted of ["br", "gzip;q=0", ""]) {
      const plain = await ask(accepted);
      expect([accepted, plain.encoding, plain.raw.toString() === body]).toEqual([accepted, undefined, true]);
    }
  });

  it("takes commands by POST alone, after the answer has gone out", async () => {
    const called: string[] = [];
    const server = await start({ drain: () => called.push("drain"), quit: () => called.push("quit") });
    const url = `http://127.0.0.1:${server.port}`;
    for (const method of ["GET", "PUT", "DELETE"]) {
      expect((await fetch(`${url}/drain`, { method })).status).toBe(405);
      expect((await fetch(`${url}/quitquitquit`, { method })).status).toBe(405);
    }
    expect(called).toEqual([]);
    const headers = { "content-type": "application/json" };
    expect(await (await fetch(`${url}/drain`, { method: "POST", headers, body: "{" })).text()).toBe("OK");
    expect(await (await fetch(`${url}/quitquitquit`, { method: "POST" })).text()).toBe("OK");
    expect(called).toEqual(["drain", "quit"]);
  });

  it("shows the table of names, where there is one", async () => {
    let table: string | undefined;
    const server = await start({ readNameTable: () => table });
    const url = `http://127.0.0.1:${server.port}/debug/ndsz`;
    expect((await fetch(url)).status).toBe(404);
    table = '{"table":{}}';
    expect(await (await fetch(url)).json()).toEqual({ table: {} });
  });
});

const called: string[] = [];
const pages = (hasLocalMetrics: boolean) =>
  createStatusPages({ ...defaults, hasLocalMetrics, drain: () => called.push("drain") });

it.each([
  ["127.0.0.1", 200],
  ["127.0.0.6", 200],
  ["::1", 200],
  ["::ffff:127.0.0.1", 200],
  ["10.1.0.9", 403],
  ["::ffff:10.1.0.9", 403],
  ["fd00::9", 403],
])("AGENT-1 commands and names are for callers of this machine: %s", async (remoteAddress, expected) => {
  const server = pages(false);
  for (const [method, url] of [
    ["POST", "/drain"],
    ["POST", "/quitquitquit"],
  ] as const) {
    expect((await server.inject({ method, url, remoteAddress })).statusCode).toBe(expected);
  }
  const names = await server.inject({ url: "/debug/ndsz", remoteAddress });
  expect(names.statusCode).toBe(expected === 200 ? 404 : 403);
  expect(called.splice(0).length).toBe(expected === 200 ? 1 : 0);
});

it("AGENT-2 metrics are for callers of this machine where the mesh wants it so", async () => {
  for (const url of ["/metrics", "/stats/prometheus"]) {
    const remoteAddress = "10.1.0.9";
    expect((await pages(true).inject({ url, remoteAddress })).statusCode).toBe(403);
    expect((await pages(true).inject({ url, remoteAddress: "127.0.0.1" })).statusCode).toBe(200);
    expect((await pages(false).inject({ url, remoteAddress })).statusCode).toBe(200);
  }
});
