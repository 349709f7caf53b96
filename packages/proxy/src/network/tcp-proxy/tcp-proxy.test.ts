import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { TestClock } from "../../../../../test/support/test-clock.ts";
import { type BodySink, bodyOf } from "../../http/body.ts";
import { HeaderList } from "../../http/header-list.ts";
import { Closers } from "../../lib/closers.ts";
import { createListenerManager } from "../../listeners/listener-manager.ts";
import { createTestEnv, filterJson, listenerFrom, openClient, type TestEnv } from "../../listeners/test-env.ts";
import type { UpstreamRequest } from "../../upstream/types.ts";
import { createTestCluster } from "../test-cluster.ts";

const closers = new Closers();
afterEach(() => closers.close());

const accessLog = [
  {
    name: "test",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog" },
  },
];

async function startServer(serve: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return address !== null && typeof address === "object" ? address.port : 0;
}

/** A port that nobody listens on. */
async function findClosedPort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return address !== null && typeof address === "object" ? address.port : 0;
}

async function startProxy(
  env: TestEnv,
  config: Readonly<Record<string, unknown>>,
  before: readonly unknown[] = [],
): Promise<number> {
  const manager = createListenerManager(env);
  closers.push(() => manager.close());
  const proxy = filterJson("network.tcp_proxy", "network.tcp_proxy.v3.TcpProxy", {
    stat_prefix: "t",
    access_log: accessLog,
    ...config,
  });
  await manager.update(
    listenerFrom({
      name: "l",
      address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
      filter_chains: [{ filters: [...before, proxy] }],
    }),
    { isStatic: false, version: "1" },
  );
  return manager.list()[0]?.addresses[0]?.port ?? 0;
}

function flagsOf({ logged }: TestEnv): readonly string[] {
  return [...(logged[0]?.info.responseFlags ?? [])].sort();
}

const echo = (socket: Socket): void => {
  socket.pipe(socket);
};

describe("tcp_proxy", () => {
  it("carries bytes both ways, counts them and logs them", async () => {
    const env = createTestEnv();
    env.clusterList.push(createTestCluster({ name: "a", ports: [await startServer(echo)], stats: env.stats }));
    const client = openClient(await startProxy(env, { cluster: "a" }));
    client.socket.write("hello");
    await client.until("hello");
    client.socket.end();
    await client.closed;
    await expect.poll(() => env.logged.length).toBe(1);
    expect(env.logged[0]?.info).toMatchObject({ bytesReceived: 5, bytesSent: 5, clusterName: "a", attempts: 1 });
    expect(env.logged[0]?.info.upstreamHost?.ip).toBe("127.0.0.1");
    const counters = env.registry.counters();
    expect(counters.get("tcp.t.downstream_cx_total")).toBe(1);
    expect(counters.get("tcp.t.downstream_cx_rx_bytes_total")).toBe(5);
    expect(counters.get("tcp.t.downstream_cx_tx_bytes_total")).toBe(5);
  });

  it("carries much, at the pace of a slow reader, and changes nothing of it", async () => {
    const env = createTestEnv();
    env.clusterList.push(createTestCluster({ name: "a", ports: [await startServer(echo)], stats: env.stats }));
    const { socket } = openClient(await startProxy(env, { cluster: "a" }));
    const sent = randomBytes(8 * 1024 * 1024);
    const received: Buffer[] = [];
    socket.removeAllListeners("data");
    socket.on("data", (chunk: Buffer) => {
      received.push(chunk);
      if (received.length % 16 !== 0) return;
      socket.pause();
      setImmediate(() => socket.resume());
    });
    socket.end(sent);
    await expect.poll(() => socket.readableEnded, { timeout: 30_000 }).toBe(true);
    expect(Buffer.concat(received).equals(sent)).toBe(true);
  });

  it("carries the end of one direction alone", async () => {
    const env = createTestEnv();
    const port = await startServer((socket) => {
      let text = "";
      socket.on("data", (chunk) => {
        text += String(chunk);
      });
      socket.on("end", () => socket.end(`all of "${text}"`));
    });
    env.clusterList.push(createTestCluster({ name: "a", ports: [port], stats: env.stats }));
    const client = openClient(await startProxy(env, { cluster: "a" }), { allowHalfOpen: true });
    client.socket.end("hello");
    await client.until('all of "hello"');
    await client.closed;
  });

  it("lets a server speak first, and end first", async () => {
    const env = createTestEnv();
    const port = await startServer((socket) => socket.end("welcome"));
    env.clusterList.push(createTestCluster({ name: "a", ports: [port], stats: env.stats }));
    const client = openClient(await startProxy(env, { cluster: "a" }));
    await client.closed;
    expect(client.text()).toBe("welcome");
  });

  it("holds a server back while the client does not read", async () => {
    const env = createTestEnv();
    let written = 0;
    let isHeld = false;
    const chunk = Buffer.alloc(1_000_000);
    const total = 64;
    const port = await startServer((socket) => {
      const write = (): void => {
        while (written < total) {
          written += 1;
          if (!socket.write(chunk)) {
            isHeld = true;
            socket.once("drain", write);
            return;
          }
        }
        socket.end();
      };
      write();
    });
    env.clusterList.push(createTestCluster({ name: "a", ports: [port], stats: env.stats }));
    const client = openClient(await startProxy(env, { cluster: "a" }));
    client.socket.pause();
    await expect.poll(() => isHeld).toBe(true);
    let length = 0;
    client.socket.on("data", (data) => {
      length += data.length;
    });
    expect(written).toBeLessThan(total);
    client.socket.resume();
    await client.closed;
    expect(length).toBe(total * chunk.length);
  });
});

describe("a connection that is refused before", () => {
  it("counts and logs a connection that a filter before it refuses", async () => {
    const env = createTestEnv();
    env.clusterList.push(createTestCluster({ name: "a", ports: [await startServer(echo)], stats: env.stats }));
    const policies = { "a b": { permissions: [{ any: true }], principals: [{ any: true }] } };
    const rbac = filterJson("network.rbac", "network.rbac.v3.RBAC", {
      stat_prefix: "r",
      rules: { action: "DENY", policies },
    });
    const client = openClient(await startProxy(env, { cluster: "a" }, [rbac]));
    client.socket.write("x");
    await client.closed;
    await expect.poll(() => env.logged.length).toBe(1);
    expect(env.logged[0]?.info.connectionTerminationDetails).toBe("rbac_access_denied_matched_policy[a_b]");
    expect(env.registry.counters().get("tcp.t.downstream_cx_total")).toBe(1);
  });
});

describe("a broken connection", () => {
  it("ends the server's connection when the client breaks off", async () => {
    const env = createTestEnv();
    let closed: (() => void) | undefined;
    const gone = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const port = await startServer((socket) => {
      socket
        .on("data", () => undefined)
        .on("end", () => socket.end())
        .on("close", () => closed?.());
      socket.write("x");
    });
    env.clusterList.push(createTestCluster({ name: "a", ports: [port], stats: env.stats }));
    const client = openClient(await startProxy(env, { cluster: "a" }));
    await client.until("x");
    client.socket.resetAndDestroy();
    await gone;
  });
});

describe("the way to a host", () => {
  it("tries other hosts as often as it may", async () => {
    const env = createTestEnv();
    const ports = [await findClosedPort(), await findClosedPort(), await startServer(echo)];
    env.clusterList.push(createTestCluster({ name: "a", ports, stats: env.stats }));
    const client = openClient(await startProxy(env, { cluster: "a", max_connect_attempts: 3 }));
    client.socket.write("x");
    await client.until("x");
    client.socket.destroy();
    await expect.poll(() => env.logged.length).toBe(1);
    expect(env.logged[0]?.info.attempts).toBe(3);
  });

  it("chooses clusters by weight", async () => {
    const dice = [0, 0.24, 0.25, 0.99];
    const env = createTestEnv({ random: () => dice.shift() ?? 0 });
    for (const name of ["a", "b"]) {
      const port = await startServer((socket) => socket.end(name));
      env.clusterList.push(createTestCluster({ name, ports: [port], stats: env.stats }));
    }
    const clusters = [
      { name: "a", weight: 1 },
      { name: "b", weight: 3, metadata_match: { filter_metadata: { "envoy.lb": { version: "2" } } } },
    ];
    const port = await startProxy(env, { weighted_clusters: { clusters } });
    const said: string[] = [];
    for (let index = 0; index < 4; index += 1) {
      const client = openClient(port);
      await client.closed;
      said.push(client.text());
    }
    expect(said).toEqual(["a", "a", "b", "b"]);
  });
});

describe("a connection that cannot be made", () => {
  it.each<[string, readonly string[], Parameters<typeof createTestCluster>[0]["failure"]]>([
    ["without hosts", ["UH"], undefined],
    ["beyond the limit", ["UO"], "overflow"],
    ["in vain", ["UF", "URX"], "connection-timeout"],
  ])("is closed: %s", async (_name, flags, failure) => {
    const env = createTestEnv();
    const ports = failure === undefined ? [] : [1];
    const more = failure === undefined ? {} : { failure };
    env.clusterList.push(createTestCluster({ name: "a", ports, stats: env.stats, ...more }));
    const client = openClient(await startProxy(env, { cluster: "a" }));
    await client.closed;
    await expect.poll(() => env.logged.length).toBe(1);
    expect(flagsOf(env)).toEqual(flags);
  });

  it("is closed where there is no cluster", async () => {
    const env = createTestEnv();
    await openClient(await startProxy(env, { cluster: "none" })).closed;
    await expect.poll(() => flagsOf(env)).toEqual(["NC"]);
    expect(env.registry.counters().get("tcp.t.downstream_cx_no_route")).toBe(1);
  });
});

describe("time", () => {
  it.each<[Readonly<Record<string, unknown>>, string, readonly string[]]>([
    [{ idle_timeout: "5s" }, "idle_timeout", []],
    [{ max_downstream_connection_duration: "5s" }, "max_downstream_connection_duration", ["DT"]],
  ])("ends a connection by %j", async (config, counter, flags) => {
    const clock = new TestClock();
    const env = createTestEnv({ clock });
    env.clusterList.push(createTestCluster({ name: "a", ports: [await startServer(echo)], stats: env.stats }));
    const client = openClient(await startProxy(env, { cluster: "a", ...config }));
    client.socket.write("x");
    await client.until("x");
    clock.advance(4_999);
    client.socket.write("y");
    await client.until("y");
    clock.advance(5_000);
    await client.closed;
    expect(env.registry.counters().get(`tcp.t.${counter}`)).toBe(1);
    await expect.poll(() => flagsOf(env)).toEqual(flags);
  });
});

describe("a tunnel", () => {
  it.each([
    [{ hostname: "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%:443" }, "CONNECT", "127.0.0.1:443", ""],
    [{ hostname: "h", use_post: true, post_path: "/tunnel" }, "POST", "h", "/tunnel"],
  ])("by %j carries bytes in a request", async (tunneling_config, method, authority, path) => {
    const env = createTestEnv();
    const requests: UpstreamRequest[] = [];
    const cluster = createTestCluster({
      name: "a",
      ports: [1],
      stats: env.stats,
      send(_host, request) {
        requests.push(request);
        let sink: BodySink | undefined;
        const body = {
          pipe: (to: BodySink) => {
            sink = to;
            request.body?.pipe({
              write: (chunk) => to.write(chunk),
              end: () => to.end(),
              abort: (cause) => to.abort(cause),
            });
          },
          resume: () => request.body?.resume(),
          cancel: () => undefined,
        };
        const response = { status: 200, headers: new HeaderList(), body, protocol: "HTTP/2" as const };
        return { response: Promise.resolve(response), cancel: () => sink?.abort(new Error("cancelled")) };
      },
    });
    env.clusterList.push(cluster);
    const client = openClient(await startProxy(env, { cluster: "a", tunneling_config }), { allowHalfOpen: true });
    client.socket.write("through");
    await client.until("through");
    client.socket.end(" and back");
    await client.until("through and back");
    await client.closed;
    expect(requests[0]).toMatchObject({ method, authority, path });
  });

  it("that is refused fails the connection", async () => {
    const env = createTestEnv();
    const cluster = createTestCluster({
      name: "a",
      ports: [1],
      stats: env.stats,
      send: () => ({
        response: Promise.resolve({
          status: 403,
          headers: new HeaderList(),
          body: bodyOf(Buffer.from("no")),
          protocol: "HTTP/1.1",
        }),
        cancel: () => undefined,
      }),
    });
    env.clusterList.push(cluster);
    await openClient(await startProxy(env, { cluster: "a", tunneling_config: { hostname: "h" } })).closed;
    await expect.poll(() => flagsOf(env)).toEqual(["UF", "URX"]);
  });
});

it("refuses what it cannot do", async () => {
  const env = createTestEnv();
  await expect(async () => startProxy(env, { cluster: "a", on_demand: {} })).rejects.toThrow("on_demand");
  await expect(async () => startProxy(env, {})).rejects.toThrow("one of cluster, weighted_clusters is required");
});
