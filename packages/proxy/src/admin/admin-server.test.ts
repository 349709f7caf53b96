import { packAny } from "@meltemi/protos";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sampleHost } from "../../test/sample-entry.ts";
import { systemClock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import type { ListenerManager } from "../listeners/types.ts";
import type { UpstreamCluster } from "../upstream/types.ts";
import { type AdminServer, startAdmin } from "./admin-server.ts";
import type { AdminSource } from "./types.ts";

const listener: Listener = {
  name: "l1",
  filter_chains: [
    {
      filters: [
        {
          name: "hcm",
          typed_config: packAny("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
            route_config: { name: "r1", virtual_hosts: [{ name: "v", domains: ["*"] }] },
          }),
        },
      ],
    },
  ],
};

let calls: unknown[] = [];
let state: ReturnType<AdminSource["state"]> = "LIVE";
const levels = new Map([
  ["http", "info"],
  ["router", "info"],
]);

const listeners: ListenerManager = {
  update: async () => undefined,
  remove: async () => undefined,
  list: () => [
    {
      name: "l1",
      wire: listener,
      version: "v7",
      isStatic: false,
      addresses: [{ ip: "::1", port: 80 }],
      connections: 0,
    },
  ],
  warming: () => ["l2"],
  drain: (options) => calls.push(["drain", options]),
  sweepStats: () => undefined,
  close: async () => undefined,
};

function buildCluster(): UpstreamCluster {
  const stats = createStatsRegistry();
  return {
    name: "a",
    wire: { name: "a", alt_stat_name: "a;", circuit_breakers: { thresholds: [{ max_retries: { value: 9 } }] } },
    stats,
    metadata: {},
    connectTimeoutMs: 5000,
    bufferLimit: 1024,
    chooseHost: () => sampleHost,
    breakers: () => {
      throw new Error("not asked for");
    },
    send: () => {
      throw new Error("not asked for");
    },
    connect: () => Promise.reject(new Error("not asked for")),
    report: () => undefined,
    listHosts: () => [sampleHost],
    describeHost: () => ({ cx_total: 2, rq_active: 1 }),
  };
}

function buildSource(): AdminSource {
  const stats = createStatsRegistry();
  stats.counter("cluster.a.upstream_rq_total").inc(3);
  stats.counter("cluster.b.upstream_rq_total");
  stats.gauge("server.state").set(0);
  stats.histogram("cluster.a.upstream_rq_time").record(27);
  const cluster = buildCluster();
  const privateKey = { inline_string: "SECRET" };
  return {
    bootstrap: {
      node: { id: "n1" },
      static_resources: { clusters: [{ name: "static" }] },
      layered_runtime: { layers: [{ name: "base", static_layer: { fields: { k: { number_value: 5 } } } }] },
    },
    stats,
    runtime: {
      number: (_, otherwise) => otherwise,
      flag: (_, otherwise) => otherwise,
      isChosen: () => false,
      entries: () => new Map([["k", 5]]),
    },
    listeners,
    clusters: { find: () => cluster, list: () => [cluster] },
    secrets: {
      open: () => {
        throw new Error("not asked for");
      },
      list: () => [
        {
          name: "default",
          current: { name: "default", tls_certificate: { private_key: privateKey } },
          ready: Promise.resolve(),
          onChange: () => () => undefined,
        },
      ],
    },
    clock: systemClock,
    log: silentLog,
    version: "1.2.3",
    commandLine: { concurrency: 1 },
    dump: () => ({
      clusters: [
        { name: "a", resource: { name: "a" }, version: "v1", updatedAt: 0, isStatic: false, isWarming: false },
        { name: "w", resource: { name: "w" }, version: "v1", updatedAt: 0, isStatic: false, isWarming: true },
      ],
      routes: [
        {
          name: "80",
          resource: { name: "80" },
          version: "v2",
          updatedAt: 0,
          isStatic: false,
          isWarming: false,
          error: { at: 1000, details: "bad", version: "v3" },
        },
      ],
      listenerErrors: new Map([["l3", { at: 0, details: "no", version: "v8" }]]),
      endpoints: [
        { name: "a", resource: { cluster_name: "a" }, version: "", updatedAt: 0, isStatic: false, isWarming: false },
      ],
      extensions: [],
    }),
    state: () => state,
    setLogLevel: (level, component) => {
      if (component !== undefined && !levels.has(component)) return false;
      for (const name of levels.keys()) if (component === undefined || name === component) levels.set(name, level);
      return true;
    },
    logLevels: () => levels,
    reopenLogs: () => calls.push("reopen"),
    failHealthChecks: (isFailing) => calls.push(["fail", isFailing]),
    quit: () => calls.push("quit"),
  };
}

let admin: AdminServer;

beforeEach(async () => {
  calls = [];
  state = "LIVE";
  admin = await startAdmin(buildSource(), { socket_address: { address: "127.0.0.1", port_value: 0 } });
});
afterEach(() => admin.close());

async function ask(path: string, method = "GET"): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`http://127.0.0.1:${admin.port}${path}`, { method });
  return { status: response.status, text: await response.text() };
}

async function askJson(path: string): Promise<Record<string, unknown>> {
  return JSON.parse((await ask(path)).text) as Record<string, unknown>;
}

async function findDump(type: string, query = ""): Promise<Record<string, unknown> | undefined> {
  const { configs } = (await askJson(`/config_dump${query}`)) as {
    readonly configs: readonly Record<string, unknown>[];
  };
  return configs.find((config) => config["@type"] === `type.googleapis.com/envoy.admin.v3.${type}`);
}

describe("startAdmin", () => {
  it.each([
    ["/ready", "LIVE\n"],
    ["/listeners", "l1::[::1]:80\n"],
    ["/stats?filter=^server\\.", "server.state: 0\n"],
    ["/stats?usedonly&filter=rq_total", "cluster.a.upstream_rq_total: 3\n"],
    ["/stats?filter=cluster.a|server&invert_filter&type=Counters", "cluster.b.upstream_rq_total: 0\n"],
    ["/stats?type=Gauges", "server.state: 0\n"],
    ["/stats?format=json&filter=state", '{"stats":[{"name":"server.state","value":0}]}'],
    ["/stats/prometheus?filter=state", "# TYPE envoy_server_state gauge\nenvoy_server_state{} 0\n"],
    ["/stats?format=prometheus&filter=state", "# TYPE envoy_server_state gauge\nenvoy_server_state{} 0\n"],
    ["/hot_restart_version", "disabled"],
  ])("%s", async (path, text) => {
    expect(await ask(path)).toEqual({ status: 200, text });
  });

  it("prints histograms as Envoy does", async () => {
    const summary = ["0", "25", "50", "75", "90", "95", "99", "99.5", "99.9", "100"].map(
      (part) => `P${part}(nan,27.5)`,
    );
    expect((await ask("/stats?filter=_time")).text).toBe(`cluster.a.upstream_rq_time: ${summary.join(" ")}\n`);
    const cumulative = (await ask("/stats?filter=_time&histogram_buckets=cumulative")).text;
    expect(cumulative).toContain("B25(0,0) B50(0,1) B100(0,1)");
    expect(cumulative).toContain("B600000(0,1) B1.8e+06(0,1) B3.6e+06(0,1)");
    expect((await ask("/stats?filter=_time&histogram_buckets=disjoint")).text).toContain("B50(0,1) B100(0,0)");
    expect(await askJson("/stats?filter=_time&format=json&histogram_buckets=cumulative")).toMatchObject({
      stats: [{ histograms: [{ name: "cluster.a.upstream_rq_time", buckets: expect.any(Array) }] }],
    });
  });

  it.each([
    ["/nosuch", 404, "invalid path. admin commands are:\n"],
    ["/stats?filter=(", 400, "Invalid re2 regex: "],
    ["/stats?format=x", 400, "usage: /stats?format="],
    ["/config_dump?resource=nope", 404, "nope not found in config dump"],
    ["/config_dump?resource=bootstrap", 400, "bootstrap is not a repeated field. Use ?mask= to get only this field"],
    ["/drain_listeners", 405, "Method GET not allowed, POST required."],
    ["/logging", 405, "Method GET not allowed, POST required."],
    ["/quitquitquit", 405, "Method GET not allowed, POST required."],
    ["/help", 200, "admin commands are:\n"],
    ["/", 200, "<!DOCTYPE html>"],
  ])("GET %s is answered with %d", async (path, status, start) => {
    const answer = await ask(path);
    expect([answer.status, answer.text.slice(0, start.length)]).toEqual([status, start]);
    expect(calls).toEqual([]);
  });

  it("says when it is not live", async () => {
    state = "PRE_INITIALIZING";
    expect(await ask("/ready")).toEqual({ status: 503, text: "PRE_INITIALIZING\n" });
  });

  it("does what is posted", async () => {
    for (const path of [
      "/drain_listeners?inboundonly&graceful&skip_exit",
      "/healthcheck/fail",
      "/healthcheck/ok",
      "/reopen_logs",
      "/quitquitquit",
      "/reset_counters",
    ]) {
      expect(await ask(path, "POST")).toEqual({ status: 200, text: "OK\n" });
    }
    expect(calls).toEqual([
      ["drain", { isInboundOnly: true, isGraceful: true, keepsListening: true }],
      ["fail", true],
      ["fail", false],
      "reopen",
      "quit",
    ]);
    expect((await ask("/stats?filter=a.upstream_rq_total")).text).toBe("cluster.a.upstream_rq_total: 0\n");
  });

  it("changes levels of the log, and nothing by mistake", async () => {
    expect((await ask("/logging?http=debug", "POST")).text).toBe("active loggers:\n  http: debug\n  router: info\n");
    expect((await ask("/logging?paths=http:warning,nosuch:info", "POST")).status).toBe(400);
    expect((await ask("/logging?level=bad", "POST")).text).toContain("error: unknown logger level");
    expect((await ask("/logging?nosuch=info", "POST")).text).toContain("error: unknown logger name");
    expect((await ask("/logging?paths=http:warning,router:off", "POST")).text).toContain(
      "http: warning\n  router: off",
    );
    expect((await ask("/logging?level=info", "POST")).text).toContain("http: info\n  router: info");
  });
});

describe("pages about configuration", () => {
  it("dumps it in Envoy's shape, without keys", async () => {
    expect(await findDump("ClustersConfigDump")).toMatchObject({
      version_info: "v1",
      static_clusters: [{ cluster: { name: "static" } }],
      dynamic_active_clusters: [
        {
          version_info: "v1",
          cluster: { "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", name: "a" },
          last_updated: "1970-01-01T00:00:00.000Z",
        },
      ],
      dynamic_warming_clusters: [{ cluster: { name: "w" } }],
    });
    expect(await findDump("ListenersConfigDump")).toMatchObject({
      version_info: "v7",
      dynamic_listeners: [
        { name: "l1", active_state: { version_info: "v7", listener: { name: "l1" } } },
        { name: "l2", warming_state: {} },
        { name: "l3", error_state: { details: "no", version_info: "v8" } },
      ],
    });
    expect(await findDump("RoutesConfigDump")).toMatchObject({
      static_route_configs: [{ route_config: { name: "r1" } }],
      dynamic_route_configs: [{ route_config: { name: "80" }, error_state: { details: "bad" } }],
    });
    const secrets = await findDump("SecretsConfigDump");
    expect(secrets).toMatchObject({ dynamic_active_secrets: [{ name: "default", secret: { name: "default" } }] });
    expect(JSON.stringify(secrets)).not.toContain("SECRET");
    expect(await findDump("EndpointsConfigDump")).toBeUndefined();
    expect(await findDump("EndpointsConfigDump", "?include_eds")).toMatchObject({
      dynamic_endpoint_configs: [{ endpoint_config: { cluster_name: "a" } }],
    });
  });

  it("dumps a part of it", async () => {
    expect(await askJson("/config_dump?resource=dynamic_active_clusters&mask=cluster.name,version_info")).toEqual({
      configs: [
        {
          "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster",
          version_info: "v1",
          cluster: { "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", name: "a" },
        },
      ],
    });
    expect(await findDump("BootstrapConfigDump", "?mask=bootstrap.node")).toEqual({
      "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
      bootstrap: { node: { id: "n1" } },
    });
    expect(await findDump("ClustersConfigDump", "?name_regex=^w")).not.toHaveProperty("static_clusters");
  });

  it("shows clusters", async () => {
    const lines = (await ask("/clusters")).text.split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        "a::observability_name::a;",
        "a::default_priority::max_connections::1024",
        "a::default_priority::max_retries::9",
        "a::high_priority::max_retries::3",
        "a::added_via_api::true",
        "a::127.0.0.1:19903::cx_total::2",
        "a::127.0.0.1:19903::rq_active::1",
        "a::127.0.0.1:19903::hostname::up.example",
        "a::127.0.0.1:19903::health_flags::healthy",
        "a::127.0.0.1:19903::canary::false",
      ]),
    );
    expect(await askJson("/clusters?format=json&filter=^a$")).toMatchObject({
      cluster_statuses: [
        {
          name: "a",
          added_via_api: true,
          host_statuses: [
            {
              address: { socket_address: { address: "127.0.0.1", port_value: 19903 } },
              health_status: { eds_health_status: "HEALTHY" },
              locality: { region: "r", zone: "z" },
            },
          ],
        },
      ],
    });
    expect((await ask("/clusters?filter=^b$")).text).toBe("");
  });

  it("shows the rest", async () => {
    expect(await askJson("/listeners?format=json")).toEqual({
      listener_statuses: [{ name: "l1", local_address: { socket_address: { address: "::1", port_value: 80 } } }],
    });
    expect(await askJson("/server_info")).toMatchObject({
      version: expect.stringMatching(/^meltemi-proxy\/1\.2\.3\/Clean\/RELEASE\/node-/),
      state: "LIVE",
      command_line_options: { concurrency: 1 },
      node: { id: "n1" },
    });
    expect(await askJson("/runtime")).toEqual({
      entries: { k: { layer_values: ["5"], final_value: "5" } },
      layers: ["base"],
    });
    expect(await ask("/runtime_modify?k=6", "POST")).toEqual({ status: 503, text: "No admin layer specified" });
    expect(await askJson("/certs")).toEqual({ certificates: [] });
    expect(await askJson("/init_dump")).toMatchObject({ unready_targets_dumps: [{ target_names: ["l2", "w"] }] });
    expect(Number((await askJson("/memory"))["allocated"])).toBeGreaterThan(0);
  });
});

it("refuses an address that is none", async () => {
  await expect(startAdmin(buildSource(), {})).rejects.toThrow("admin.address: must be a socket address or a pipe");
});
