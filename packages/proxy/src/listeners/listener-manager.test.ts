import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { Closers } from "../lib/closers.ts";
import { ConfigError } from "../lib/config-error.ts";
import { ConnectionBudget } from "./connection-budget.ts";
import { createListenerManager } from "./listener-manager.ts";
import { createTestEnv, filterJson, listenerFrom, openClient, sayJson, type TestEnv } from "./test-env.ts";
import type { ListenerManager } from "./types.ts";

const closers = new Closers();
afterEach(() => closers.close());

const origin = { isStatic: false, version: "1" };
const echo = filterJson("network.echo", "network.echo.v3.Echo");
const tlsInspector = filterJson("listener.tls_inspector", "listener.tls_inspector.v3.TlsInspector");
const httpInspector = filterJson("listener.http_inspector", "listener.http_inspector.v3.HttpInspector");
const accessLog = [
  {
    name: "test",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog" },
  },
];

function start(env: TestEnv = createTestEnv()): { readonly env: TestEnv; readonly manager: ListenerManager } {
  const manager = createListenerManager(env, { drainTimeMs: 1_000 });
  closers.push(() => manager.close());
  return { env, manager };
}

const anyPort = { socket_address: { address: "127.0.0.1", port_value: 0 } };

function listener(name: string, chains: readonly unknown[], more: Readonly<Record<string, unknown>> = {}) {
  return listenerFrom({ name, address: anyPort, filter_chains: chains, ...more });
}

function portOf(manager: ListenerManager, name: string, index = 0): number {
  const address = manager.list().find((each) => each.name === name)?.addresses[index];
  if (address === undefined) throw new Error(`${name} does not listen`);
  return address.port;
}

async function ask(port: number, bytes = ""): Promise<string> {
  const client = openClient(port);
  if (bytes !== "") client.socket.write(bytes);
  await client.closed;
  return client.text();
}

describe("a listener", () => {
  it("serves on all of its addresses, and counts", async () => {
    const { manager, env } = start();
    await manager.update(
      listener("a", [{ filters: [sayJson("hello")] }], { additional_addresses: [{ address: anyPort }] }),
      origin,
    );
    expect(await ask(portOf(manager, "a"))).toBe("hello");
    expect(await ask(portOf(manager, "a", 1))).toBe("hello");
    const counters = env.registry.counters();
    expect(counters.get("listener.127.0.0.1_0.downstream_cx_total")).toBe(2);
    expect(counters.get("listener_manager.listener_added")).toBe(1);
    expect(env.registry.gauges().get("listener_manager.total_listeners_active")).toBe(1);
  });

  it("serves on a Unix socket in the place of one that was left behind", async () => {
    const folder = mkdtempSync(join(tmpdir(), "listener-"));
    closers.push(() => rmSync(folder, { recursive: true }));
    const { manager } = start();
    const path = join(folder, "socket");
    await manager.update(
      listenerFrom({ name: "a", address: { pipe: { path } }, filter_chains: [{ filters: [sayJson("pipe")] }] }),
      origin,
    );
    const socket = connect(path);
    const [chunk] = await once(socket, "data");
    expect(String(chunk)).toBe("pipe");
    socket.destroy();
  });

  it("closes connections without a chain, with a line in its log", async () => {
    const { manager, env } = start();
    await manager.update(
      listener("a", [{ filter_chain_match: { destination_port: 1 }, filters: [echo] }], { access_log: accessLog }),
      origin,
    );
    expect(await ask(portOf(manager, "a"))).toBe("");
    expect(env.registry.counters().get("listener.127.0.0.1_0.no_filter_chain_match")).toBe(1);
    expect([...(env.logged[0]?.info.responseFlags ?? [])]).toEqual(["NR"]);
  });

  it("keeps connections beyond its limit out", async () => {
    const { manager, env } = start();
    env.runtimeValues.set("envoy.resource_limits.listener.a.connection_limit", 1);
    await manager.update(listener("a", [{ filters: [echo] }]), origin);
    const first = openClient(portOf(manager, "a"));
    first.socket.write("1");
    await first.until("1");
    expect(await ask(portOf(manager, "a"))).toBe("");
    expect(env.registry.counters().get("listener.127.0.0.1_0.downstream_cx_overflow")).toBe(1);
    first.socket.destroy();
  });

  it("keeps connections beyond the limit of all listeners out, but for one that is exempt", async () => {
    const runtime = { number: (key: string, otherwise: number) => (key.startsWith("overload.") ? 1 : otherwise) };
    const { manager, env } = start(createTestEnv({ connectionBudget: new ConnectionBudget(undefined, runtime) }));
    await manager.update(listener("a", [{ filters: [echo] }]), origin);
    await manager.update(listener("b", [{ filters: [sayJson("hello")] }]), origin);
    await manager.update(listener("c", [{ filters: [sayJson("exempt")] }], { ignore_global_conn_limit: true }), origin);
    const first = openClient(portOf(manager, "a"));
    first.socket.write("1");
    await first.until("1");
    expect(await ask(portOf(manager, "b"))).toBe("");
    expect(await ask(portOf(manager, "c"))).toBe("exempt");
    expect(env.registry.counters().get("listener.127.0.0.1_0.downstream_global_cx_overflow")).toBe(1);
    first.socket.destroy();
    await first.closed;
    await expect.poll(() => ask(portOf(manager, "b"))).toBe("hello");
  });
});

describe("listener filters", () => {
  it("give inspected bytes on, in one piece or in many", async () => {
    const { manager } = start();
    const chains = [
      { filter_chain_match: { application_protocols: ["http/1.1"] }, filters: [echo] },
      { filters: [sayJson("no HTTP")] },
    ];
    await manager.update(listener("a", chains, { listener_filters: [tlsInspector, httpInspector] }), origin);
    const request = "GET / HTTP/1.1\r\n\r\n";
    const client = openClient(portOf(manager, "a"));
    client.socket.setNoDelay(true);
    for (const letter of request) {
      client.socket.write(letter);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.until(request);
    client.socket.end();
    await client.closed;
    expect(await ask(portOf(manager, "a"), "hello")).toBe("no HTTP");
  });

  it("lose nothing of a client that has ended its part at once", async () => {
    const { manager } = start();
    await manager.update(listener("a", [{ filters: [echo] }], { listener_filters: [tlsInspector] }), origin);
    const port = portOf(manager, "a");
    const clients = Array.from({ length: 20 }, () => openClient(port, { allowHalfOpen: true }));
    for (const { socket } of clients) socket.end("hello");
    await Promise.all(clients.map(({ closed }) => closed));
    expect(clients.map((client) => client.text())).toEqual(clients.map(() => "hello"));
  });

  it("are skipped where they are switched off for a port", async () => {
    const { manager } = start();
    const chains = [
      { filter_chain_match: { application_protocols: ["http/1.1"] }, filters: [sayJson("HTTP")] },
      { filters: [sayJson("bytes")] },
    ];
    const disabled = { ...httpInspector, filter_disabled: { destination_port_range: { start: 1, end: 65_535 } } };
    await manager.update(listener("a", chains, { listener_filters: [disabled] }), origin);
    expect(await ask(portOf(manager, "a"), "GET / HTTP/1.1\r\n")).toBe("bytes");
  });

  it.each([
    [true, "served"],
    [false, ""],
  ])("are given up for a client that says nothing, which is served: %s", async (continues, expected) => {
    const clock = new TestClock();
    const { manager, env } = start(createTestEnv({ clock }));
    const more = {
      listener_filters: [tlsInspector],
      listener_filters_timeout: "2s",
      continue_on_listener_filters_timeout: continues,
    };
    await manager.update(listener("a", [{ filters: [sayJson("served")] }], more), origin);
    const client = openClient(portOf(manager, "a"));
    await clock.timers(1);
    clock.advance(2_000);
    await client.closed;
    expect(client.text()).toBe(expected);
    expect(env.registry.counters().get("listener.127.0.0.1_0.downstream_pre_cx_timeout")).toBe(1);
  });

  it("take addresses from the PROXY protocol, and hand over to the listener of that address", async () => {
    const { manager } = start();
    await manager.update(
      listenerFrom({
        name: "other",
        address: { socket_address: { address: "10.0.0.1", port_value: 80 } },
        bind_to_port: false,
        filter_chains: [
          {
            filter_chain_match: { source_prefix_ranges: [{ address_prefix: "1.2.3.4", prefix_len: 32 }] },
            filters: [echo],
          },
        ],
      }),
      origin,
    );
    const proxied = filterJson("listener.proxy_protocol", "listener.proxy_protocol.v3.ProxyProtocol");
    const more = { listener_filters: [proxied], use_original_dst: true };
    await manager.update(listener("a", [{ filters: [sayJson("itself")] }], more), origin);
    const client = openClient(portOf(manager, "a"));
    client.socket.write("PROXY TCP4 1.2.3.4 10.0.0.1 5 80\r\nbytes");
    await client.until("bytes");
    expect(client.text()).toBe("bytes");
    client.socket.destroy();
    expect(await ask(portOf(manager, "a"), "PROXY TCP4 1.2.3.4 10.0.0.2 5 80\r\n")).toBe("itself");
    expect(await ask(portOf(manager, "a"), "GET / HTTP/1.1\r\n\r\n")).toBe("");
  });
});

describe("an update", () => {
  it("takes the socket over without a refused connection, and lets old connections go on until they drain", async () => {
    const clock = new TestClock();
    const { manager, env } = start(createTestEnv({ clock }));
    await manager.update(listener("a", [{ filters: [echo] }]), origin);
    const port = portOf(manager, "a");
    const old = openClient(port);
    old.socket.write("1");
    await old.until("1");
    for (let index = 0; index < 20; index += 1) {
      const update = manager.update(listener("a", [{ filters: [sayJson(`v${index}`)] }]), origin);
      const during = ask(port);
      await update;
      expect(await during).toMatch(/^(v\d+)?/);
      expect(await ask(port)).toBe(`v${index}`);
    }
    expect(portOf(manager, "a")).toBe(port);
    old.socket.write("2");
    await old.until("12");
    expect(env.registry.gauges().get("listener_manager.total_listeners_draining")).toBe(1);
    clock.advance(1_000);
    await old.closed;
    await expect.poll(() => env.registry.gauges().get("listener_manager.total_listeners_draining")).toBe(0);
  });

  it("keeps chains that stay as they are, with their connections", async () => {
    const clock = new TestClock();
    const { manager } = start(createTestEnv({ clock }));
    const kept = { filters: [echo] };
    const other = (text: string) => ({ filter_chain_match: { destination_port: 1 }, filters: [sayJson(text)] });
    await manager.update(listener("a", [kept, other("1")]), origin);
    const client = openClient(portOf(manager, "a"));
    client.socket.write("1");
    await client.until("1");
    await manager.update(listener("a", [kept, other("2")]), { isStatic: false, version: "2" });
    clock.advance(10_000);
    client.socket.write("2");
    await client.until("12");
    expect(manager.list()[0]).toMatchObject({ version: "2", connections: 1 });
    client.socket.destroy();
  });

  it.each<[string, Readonly<Record<string, unknown>>, string]>([
    ["an unknown filter", { filter_chains: [{ filters: [tlsInspector] }] }, "filter_chains[0].filters[0].typed_config"],
    ["a filter in the wrong place", { filter_chains: [{ filters: [echo, echo] }] }, "must be the last filter"],
    ["QUIC", { udp_listener_config: {} }, "udp_listener_config: UDP and QUIC listeners are not supported"],
    ["an internal listener", { internal_listener: {} }, "internal_listener"],
    ["a matcher", { filter_chain_matcher: {} }, "filter_chain_matcher"],
  ])("with %s leaves the old one in use", async (_name, change, message) => {
    const { manager } = start();
    await manager.update(listener("a", [{ filters: [sayJson("old")] }]), origin);
    expect(() => manager.update(listenerFrom({ name: "a", address: anyPort, ...change }), origin)).toThrow(message);
    expect(await ask(portOf(manager, "a"))).toBe("old");
  });

  it("to an address that is taken leaves the old one in use", async () => {
    const { manager, env } = start();
    await manager.update(listener("a", [{ filters: [sayJson("old")] }]), origin);
    const taken = createServer();
    taken.listen(0, "127.0.0.1");
    await once(taken, "listening");
    closers.push(() => taken.close());
    const address = taken.address();
    const port_value = address !== null && typeof address === "object" ? address.port : 0;
    const moved = listenerFrom({
      name: "a",
      address: { socket_address: { address: "127.0.0.1", port_value } },
      filter_chains: [{ filters: [sayJson("new")] }],
    });
    await expect(manager.update(moved, origin)).rejects.toThrow(ConfigError);
    expect(await ask(portOf(manager, "a"))).toBe("old");
    expect(env.registry.counters().get("listener_manager.listener_create_failure")).toBe(1);
    expect(manager.warming()).toEqual([]);
  });

  it("refuses two listeners of one address", async () => {
    const { manager } = start();
    const address = { socket_address: { address: "127.0.0.1", port_value: 15_001 } };
    const wire = (name: string) =>
      listenerFrom({ name, address, bind_to_port: false, filter_chains: [{ filters: [echo] }] });
    await manager.update(wire("a"), origin);
    expect(() => manager.update(wire("b"), origin)).toThrow("duplicate address '127.0.0.1:15001'");
    await manager.remove("a");
    await manager.update(wire("b"), origin);
    expect(manager.list()).toMatchObject([{ name: "b", addresses: [] }]);
  });
});

describe("a chain that is gone", () => {
  it("ends idle connections of HTTP/1 when their time to drain is over, and not before", async () => {
    const clock = new TestClock();
    const { manager } = start(
      createTestEnv({ clock, compileRoutes: () => ({ name: "", wire: {}, find: () => undefined }) }),
    );
    const serveHttp = filterJson(
      "network.http_connection_manager",
      "network.http_connection_manager.v3.HttpConnectionManager",
      { stat_prefix: "test", route_config: {}, http_filters: [filterJson("http.router", "http.router.v3.Router")] },
    );
    await manager.update(listener("a", [{ filters: [serveHttp] }]), origin);
    const port = portOf(manager, "a");
    const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const [idle, asking] = [openClient(port), openClient(port)];
    for (const client of [idle, asking]) {
      client.socket.write(get);
      await client.until("\r\n\r\n");
    }
    await manager.update(listener("a", [{ filters: [sayJson("new")] }]), origin);
    clock.advance(999);
    asking.socket.write(get);
    await expect.poll(() => asking.text()).toContain("connection: close");
    expect(idle.socket.readyState).toBe("open");
    clock.advance(1);
    await idle.closed;
    expect(idle.text()).not.toContain("connection: close");
  });
});

describe("an end", () => {
  it("refuses connections of a listener that was removed, and lets others drain", async () => {
    const clock = new TestClock();
    const { manager, env } = start(createTestEnv({ clock }));
    await manager.update(listener("a", [{ filters: [echo] }], { stat_prefix: "a" }), origin);
    await manager.update(listener("b", [{ filters: [echo] }], { stat_prefix: "a.b" }), origin);
    const port = portOf(manager, "a");
    const client = openClient(port);
    client.socket.write("1");
    await client.until("1");
    await manager.remove("a");
    expect(manager.list().map(({ name }) => name)).toEqual(["b"]);
    manager.sweepStats(env.registry);
    expect(env.registry.counters().get("listener.a.downstream_cx_total")).toBe(1);
    await expect(refusal(port)).resolves.toBe("ECONNREFUSED");
    client.socket.write("2");
    await client.until("12");
    clock.advance(1_000);
    await client.closed;
    await expect.poll(() => env.registry.gauges().get("listener_manager.total_listeners_draining")).toBe(0);
    manager.sweepStats(env.registry);
    const counters = env.registry.counters();
    expect(counters.get("listener.a.downstream_cx_total")).toBeUndefined();
    expect(counters.get("listener.a.b.downstream_cx_total")).toBe(0);
  });

  it("stops to listen after a graceful drain", async () => {
    const clock = new TestClock();
    const { manager } = start(createTestEnv({ clock }));
    await manager.update(listener("in", [{ filters: [sayJson("in")] }], { traffic_direction: "INBOUND" }), origin);
    await manager.update(listener("out", [{ filters: [sayJson("out")] }]), origin);
    const port = portOf(manager, "in");
    manager.drain({ isInboundOnly: true, isGraceful: true, keepsListening: false });
    expect(await ask(port)).toBe("in");
    clock.advance(1_000);
    await expect(refusal(port)).resolves.toBe("ECONNREFUSED");
    expect(await ask(portOf(manager, "out"))).toBe("out");
  });
});

function refusal(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", (cause: NodeJS.ErrnoException) => resolve(cause.code));
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}
