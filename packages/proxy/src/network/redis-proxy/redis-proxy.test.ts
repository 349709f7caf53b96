import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { TestClock } from "../../../../../test/support/test-clock.ts";
import { Closers } from "../../lib/closers.ts";
import { createListenerManager } from "../../listeners/listener-manager.ts";
import { createTestEnv, filterJson, listenerFrom, openClient, type TestEnv } from "../../listeners/test-env.ts";
import { createTestCluster } from "../test-cluster.ts";
import { hashedPart } from "./commands.ts";
import { encodeCommand, parseCommand, RespError, RespReader } from "./resp.ts";

const closers = new Closers();
afterEach(() => closers.close());

/** A server of keys and values that knows what the tests ask for. */
async function startRedis(data: Map<string, string>): Promise<number> {
  const answer = (words: readonly string[]): string => {
    const [name = "", key = "", value = ""] = words;
    const found = data.get(key);
    switch (name.toLowerCase()) {
      case "set":
        data.set(key, value);
        return "+OK\r\n";
      case "get":
        return found === undefined ? "$-1\r\n" : `$${found.length}\r\n${found}\r\n`;
      case "del":
        return `:${data.delete(key) ? 1 : 0}\r\n`;
      default:
        return "-ERR what?\r\n";
    }
  };
  const server = createServer((socket: Socket) => {
    const reader = new RespReader(parseCommand);
    closers.push(() => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      for (const words of reader.read(chunk)) {
        if (words[0]?.toString() !== "ttl") socket.write(answer(words.map(String)));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => server.close());
  const address = server.address();
  return address !== null && typeof address === "object" ? address.port : 0;
}

async function startProxy(env: TestEnv, more: Readonly<Record<string, unknown>> = {}): Promise<number> {
  const manager = createListenerManager(env);
  closers.push(() => manager.close());
  const filter = filterJson("network.redis_proxy", "network.redis_proxy.v3.RedisProxy", {
    stat_prefix: "r",
    settings: { op_timeout: "5s" },
    prefix_routes: { routes: [{ prefix: "b:", cluster: "b", remove_prefix: true }], catch_all_route: { cluster: "a" } },
    ...more,
  });
  const address = { socket_address: { address: "127.0.0.1", port_value: 0 } };
  await manager.update(listenerFrom({ name: "l", address, filter_chains: [{ filters: [filter] }] }), {
    isStatic: false,
    version: "1",
  });
  return manager.list()[0]?.addresses[0]?.port ?? 0;
}

function command(...words: readonly string[]): Buffer {
  return encodeCommand(words.map((word) => Buffer.from(word)));
}

describe("redis_proxy", () => {
  it("sends commands by their keys, and answers in order", async () => {
    const env = createTestEnv();
    const stores = { a: new Map<string, string>(), b: new Map<string, string>() };
    for (const name of ["a", "b"] as const) {
      env.clusterList.push(createTestCluster({ name, ports: [await startRedis(stores[name])], stats: env.stats }));
    }
    const client = openClient(await startProxy(env));
    client.socket.write(
      Buffer.concat([
        command("SET", "x", "1"),
        command("SET", "b:y", "2"),
        command("PING"),
        command("MGET", "x", "b:y", "z"),
        command("MSET", "x", "3", "b:z", "4"),
        command("DEL", "x", "b:y", "none"),
        command("HGET", "x", "f"),
        command("KEYS", "*"),
        command("QUIT"),
      ]),
    );
    await client.closed;
    expect(client.text().split("\r\n")).toEqual([
      "+OK",
      "+OK",
      "+PONG",
      ..."*3 $1 1 $1 2 $-1".split(" "),
      "+OK",
      ":2",
      "-ERR what?",
      "-ERR unknown command 'keys', with args beginning with: '*'",
      "+OK",
      "",
    ]);
    expect([...stores.b]).toEqual([["z", "4"]]);
    const counters = env.registry.counters();
    expect([counters.get("redis.r.command.set.total"), counters.get("redis.r.command.hget.error")]).toEqual([2, 1]);
  });

  it("answers for hosts that do not", async () => {
    const clock = new TestClock();
    const env = createTestEnv({ clock });
    env.clusterList.push(createTestCluster({ name: "a", ports: [await startRedis(new Map())], stats: env.stats }));
    const client = openClient(await startProxy(env));
    client.socket.write(command("ttl", "x"));
    await clock.timers(1);
    clock.advance(5_000);
    await client.until("-upstream failure\r\n");
    client.socket.write(command("get", "b:x"));
    await client.until("-no upstream host\r\n");
    client.socket.write("nonsense\r\n");
    await client.closed;
    expect(client.text()).toMatch(/-downstream protocol error\r\n$/);
  });

  it("asks for a password where there is one", async () => {
    const port = await startProxy(createTestEnv(), { downstream_auth_password: { inline_string: "secret" } });
    const client = openClient(port);
    client.socket.write(
      Buffer.concat([command("PING"), command("AUTH", "wrong"), command("AUTH", "secret"), command("PING")]),
    );
    await client.until("-NOAUTH Authentication required.\r\n-ERR invalid password\r\n+OK\r\n+PONG\r\n");
    client.socket.destroy();
  });
});

describe("RESP", () => {
  it("reads commands byte by byte", () => {
    const reader = new RespReader(parseCommand);
    const bytes = Buffer.concat([command("SET", "k", "a\r\nb"), command("GET", "")]);
    const read = [...bytes].flatMap((byte) => reader.read(Buffer.from([byte])));
    expect(read.map((words) => words.map(String))).toEqual([
      ["SET", "k", "a\r\nb"],
      ["GET", ""],
    ]);
  });

  it.each([
    "PING\r\n",
    "*1\r\n:1\r\n",
    "*-1\r\n",
    "*1\r\n$-1\r\n",
    "*1\r\n$1\r\nabc",
    "*99999999\r\n",
    "$x\r\n",
    "\r\n",
  ])("refuses %j as a command", (text) => {
    expect(() => new RespReader(parseCommand).read(Buffer.from(text))).toThrow(RespError);
  });

  it.each([
    ["a{b}c", true, "b"],
    ["a{}c", true, "a{}c"],
    ["a{b}c", false, "a{b}c"],
    ["a}b{c}", true, "c"],
  ])("hashes %s with tags %s by %s", (key, usesTags, part) => {
    expect(hashedPart(key, usesTags)).toBe(part);
  });
});
