/** Filters that admit connections or watch them, in chains that end in an echo. */
import { decode, encode } from "@meltemi/protos";
import { afterEach, describe, expect, it } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { bodyOf, collect } from "../http/body.ts";
import { HeaderList } from "../http/header-list.ts";
import { Closers } from "../lib/closers.ts";
import { createListenerManager } from "../listeners/listener-manager.ts";
import { createTestEnv, filterJson, listenerFrom, openClient, type TestEnv } from "../listeners/test-env.ts";
import type { UpstreamCluster } from "../upstream/types.ts";
import { createTestCluster } from "./test-cluster.ts";

const closers = new Closers();
afterEach(() => closers.close());

type Json = Readonly<Record<string, unknown>>;
const echo = filterJson("network.echo", "network.echo.v3.Echo");
const accessLog = [
  {
    name: "test",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog" },
  },
];

async function startChain(env: TestEnv, filters: readonly Json[]): Promise<number> {
  const manager = createListenerManager(env);
  closers.push(() => manager.close());
  const wire = listenerFrom({
    name: "l",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    access_log: accessLog,
    filter_chains: [{ filters: [...filters, echo] }],
  });
  await manager.update(wire, { isStatic: false, version: "1" });
  return manager.list()[0]?.addresses[0]?.port ?? 0;
}

/** What comes back for "x": "x" where the connection is let in. */
async function ask(port: number): Promise<string> {
  const client = openClient(port);
  client.socket.write("x");
  await Promise.race([client.until("x").catch(() => undefined), client.closed]);
  client.socket.destroy();
  return client.text();
}

function rbac(config: Json): Json {
  return filterJson("network.rbac", "network.rbac.v3.RBAC", { stat_prefix: "tcp.", ...config });
}

const allowNobody = { action: "ALLOW", policies: {} };
const allowAll = {
  action: "ALLOW",
  policies: { everybody: { permissions: [{ any: true }], principals: [{ any: true }] } },
};

describe("rbac", () => {
  it("closes connections that are not allowed, and says why", async () => {
    const env = createTestEnv();
    expect(await ask(await startChain(env, [rbac({ rules: allowNobody })]))).toBe("");
    await expect.poll(() => env.logged.length).toBe(1);
    expect(env.logged[0]?.info.connectionTerminationDetails).toBe("rbac_access_denied_matched_policy[none]");
    expect(env.logged[0]?.info.responseFlags.size).toBe(0);
    expect(env.registry.counters().get("tcp.rbac.denied")).toBe(1);
  });

  it("only counts what shadow rules say", async () => {
    const env = createTestEnv();
    const filter = rbac({ rules: allowAll, shadow_rules: allowNobody, shadow_rules_stat_prefix: "dry_" });
    expect(await ask(await startChain(env, [filter]))).toBe("x");
    const counters = env.registry.counters();
    expect([counters.get("tcp.rbac.allowed"), counters.get("tcp.rbac.dry_.shadow_denied")]).toEqual([1, 1]);
    await expect.poll(() => env.logged.length).toBe(1);
    expect(env.logged[0]?.info.dynamicMetadata.get("envoy.filters.network.rbac")).toEqual({
      dry_shadow_engine_result: "denied",
    });
  });
});

describe("limits", () => {
  it("let so many connections live at once", async () => {
    const env = createTestEnv();
    const limit = filterJson("network.connection_limit", "network.connection_limit.v3.ConnectionLimit", {
      stat_prefix: "c",
      max_connections: 1,
    });
    const port = await startChain(env, [limit]);
    const first = openClient(port);
    first.socket.write("x");
    await first.until("x");
    expect(await ask(port)).toBe("");
    first.socket.destroy();
    await expect.poll(() => env.registry.gauges().get("connection_limit.c.active_connections")).toBe(0);
    expect(await ask(port)).toBe("x");
    expect(env.registry.counters().get("connection_limit.c.limited_connections")).toBe(1);
  });

  it("let so many connections in for each time", async () => {
    const clock = new TestClock();
    const env = createTestEnv({ clock });
    const limit = filterJson("network.local_ratelimit", "network.local_ratelimit.v3.LocalRateLimit", {
      stat_prefix: "r",
      token_bucket: { max_tokens: 2, fill_interval: "1s" },
    });
    const port = await startChain(env, [limit]);
    expect([await ask(port), await ask(port), await ask(port)]).toEqual(["x", "x", ""]);
    clock.advance(1_000);
    expect([await ask(port), await ask(port)]).toEqual(["x", ""]);
    expect(env.registry.counters().get("local_rate_limit.r.rate_limited")).toBe(2);
  });
});

/** A gRPC service that answers each call with what `answer` makes of its message. */
function grpcCluster(env: TestEnv, answer: (message: Uint8Array) => Uint8Array): UpstreamCluster {
  return createTestCluster({
    name: "service",
    ports: [1],
    stats: env.stats,
    send: (_host, request) => {
      const run = async () => {
        const { bytes } =
          request.body === undefined ? { bytes: new Uint8Array() } : await collect(request.body, 100_000);
        const message = answer(bytes.subarray(5));
        const head = Buffer.alloc(5);
        head.writeUInt32BE(message.length, 1);
        const body = bodyOf(Buffer.concat([head, message]), new HeaderList(["grpc-status", "0"]));
        return { status: 200, headers: new HeaderList(), body, protocol: "HTTP/2" as const };
      };
      return { response: run(), cancel: () => undefined };
    },
  });
}

describe("services", () => {
  const grpc_service = { envoy_grpc: { cluster_name: "service" } };
  it.each([
    [0, "x", "ok"],
    [7, "", "denied"],
  ])("ext_authz with status %i", async (code, expected, counter) => {
    const env = createTestEnv();
    const asked: unknown[] = [];
    env.clusterList.push(
      grpcCluster(env, (message) => {
        asked.push(decode("envoy.service.auth.v3.CheckRequest", message));
        return encode("envoy.service.auth.v3.CheckResponse", { status: { code } });
      }),
    );
    const filter = filterJson("network.ext_authz", "network.ext_authz.v3.ExtAuthz", { stat_prefix: "e", grpc_service });
    expect(await ask(await startChain(env, [filter]))).toBe(expected);
    expect(env.registry.counters().get(`ext_authz.e.${counter}`)).toBe(1);
    expect(asked[0]).toMatchObject({
      attributes: { source: { address: { socket_address: { address: "127.0.0.1" } } } },
    });
  });

  it.each([
    [{ failure_mode_allow: true }, "x"],
    [{}, ""],
  ])("ext_authz without its service, %j", async (more, expected) => {
    const filter = filterJson("network.ext_authz", "network.ext_authz.v3.ExtAuthz", {
      stat_prefix: "e",
      grpc_service,
      ...more,
    });
    expect(await ask(await startChain(createTestEnv(), [filter]))).toBe(expected);
  });

  it.each([
    ["OK", {}, "x"],
    ["OVER_LIMIT", {}, ""],
  ] as const)("ratelimit with %s", async (overall_code, more, expected) => {
    const env = createTestEnv();
    const asked: unknown[] = [];
    env.clusterList.push(
      grpcCluster(env, (message) => {
        asked.push(decode("envoy.service.ratelimit.v3.RateLimitRequest", message));
        return encode("envoy.service.ratelimit.v3.RateLimitResponse", { overall_code });
      }),
    );
    const filter = filterJson("network.ratelimit", "network.ratelimit.v3.RateLimit", {
      stat_prefix: "r",
      domain: "d",
      descriptors: [{ entries: [{ key: "ip", value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" }] }],
      rate_limit_service: { grpc_service },
      ...more,
    });
    expect(await ask(await startChain(env, [filter]))).toBe(expected);
    expect(asked).toEqual([{ domain: "d", descriptors: [{ entries: [{ key: "ip", value: "127.0.0.1" }] }] }]);
  });
});

describe("protocols that are watched", () => {
  function mongoMessage(op: number, body: Buffer): Buffer {
    const head = Buffer.alloc(16);
    head.writeInt32LE(16 + body.length, 0);
    head.writeInt32LE(op, 12);
    return Buffer.concat([head, body]);
  }
  const document = Buffer.concat([Buffer.from([12, 0, 0, 0, 0x10]), Buffer.from("a\0"), Buffer.from([1, 0, 0, 0, 0])]);
  const query = mongoMessage(
    2004,
    Buffer.concat([Buffer.from([16, 0, 0, 0]), Buffer.from("db.cars\0"), Buffer.alloc(8), document]),
  );

  it("counts MongoDB's messages, in one piece or in many", async () => {
    const env = createTestEnv();
    const filter = filterJson("network.mongo_proxy", "network.mongo_proxy.v3.MongoProxy", {
      stat_prefix: "m",
      emit_dynamic_metadata: true,
    });
    const client = openClient(await startChain(env, [filter]));
    const bytes = Buffer.concat([query, query]);
    for (const byte of bytes) client.socket.write(Buffer.from([byte]));
    await client.until(bytes.toString("latin1"));
    client.socket.destroy();
    const counters = env.registry.counters();
    // The echo answers with the same: it is counted in both directions.
    expect(counters.get("mongo.m.op_query")).toBe(4);
    expect(counters.get("mongo.m.op_query_no_cursor_timeout")).toBe(4);
    expect(counters.get("mongo.m.collection.cars.query.total")).toBe(4);
    await expect.poll(() => env.logged.length).toBe(1);
    const noted = env.logged[0]?.info.dynamicMetadata.get("envoy.filters.network.mongo_proxy");
    expect(noted).toEqual({ "db.cars": ["query"] });
  });

  it("delays MongoDB's messages, and passes on what it does not know", async () => {
    const clock = new TestClock();
    const env = createTestEnv({ clock });
    const filter = filterJson("network.mongo_proxy", "network.mongo_proxy.v3.MongoProxy", {
      stat_prefix: "m",
      delay: { fixed_delay: "5s", percentage: { numerator: 100 } },
    });
    const port = await startChain(env, [filter]);
    const client = openClient(port);
    client.socket.write(query);
    await clock.timers(1);
    expect(client.text()).toBe("");
    clock.advance(5_000);
    await client.until(query.toString("latin1"));
    client.socket.destroy();
    const other = mongoMessage(2013, Buffer.from("hello"));
    const second = openClient(port);
    second.socket.write(other);
    await second.until(other.toString("latin1"));
    second.socket.destroy();
    expect(env.registry.counters().get("mongo.m.decoding_error")).toBe(1);
  });

  it("counts MySQL's sessions", async () => {
    const env = createTestEnv();
    const filter = filterJson("network.mysql_proxy", "network.mysql_proxy.v3.MySQLProxy", { stat_prefix: "m" });
    expect(await ask(await startChain(env, [filter]))).toBe("x");
    expect(env.registry.counters().get("mysql.m.sessions")).toBe(1);
  });
});

describe("Istio's filters", () => {
  const typed = (type: string, value: Json): Json => ({
    name: type,
    typed_config: {
      "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
      type_url: `type.googleapis.com/${type}`,
      value,
    },
  });

  it("change nothing where they have nothing to say", async () => {
    const exchange = typed("envoy.tcp.metadataexchange.config.MetadataExchange", { protocol: "istio-peer-exchange" });
    expect(await ask(await startChain(createTestEnv(), [exchange, typed("stats.PluginConfig", {})]))).toBe("x");
  });

  it("are refused by name where they are not known", async () => {
    await expect(async () => startChain(createTestEnv(), [typed("istio.unknown", {})])).rejects.toThrow(
      "filter_chains[0].filters[0].typed_config: the network filter istio.unknown (istio.unknown) is not supported",
    );
  });
});

it("filters tell each other by the filter state", async () => {
  const env = createTestEnv();
  const set = filterJson("network.set_filter_state", "network.set_filter_state.v3.Config", {
    on_new_connection: [
      {
        object_key: "k",
        format_string: { text_format_source: { inline_string: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" } },
      },
    ],
  });
  const onlyWith = rbac({
    rules: {
      policies: {
        p: {
          permissions: [{ any: true }],
          principals: [{ filter_state: { key: "k", string_match: { exact: "127.0.0.1" } } }],
        },
      },
    },
  });
  expect(await ask(await startChain(env, [set, onlyWith]))).toBe("x");
  expect(await ask(await startChain(env, [onlyWith]))).toBe("");
});
