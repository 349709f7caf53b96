/** A cluster's pools on a clock that tests move, and loopback servers for them. */
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { duration } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { onTestFinished } from "vitest";
import { type BodySource, collect } from "../../src/http/body.ts";
import { HeaderList } from "../../src/http/header-list.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import type { Stats } from "../../src/lib/stats.ts";
import type { SecretProvider } from "../../src/tls/types.ts";
import { createHostPools } from "../../src/upstream/pool/host-pools.ts";
import type { HostPools } from "../../src/upstream/pool/types.ts";
import type { Breaker, CircuitBreakers, Host, UpstreamRequest } from "../../src/upstream/types.ts";

/** Time that stands still but for what `advance` adds. */
export class TestClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Set<{ at: number; readonly periodMs: number; readonly run: () => void }>();

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): { close(): void } {
    return this.#add(delayMs, 0, run);
  }

  every(periodMs: number, run: () => void): { close(): void } {
    return this.#add(periodMs, periodMs, run);
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#now) continue;
      if (timer.periodMs > 0) timer.at = this.#now + timer.periodMs;
      else this.#timers.delete(timer);
      timer.run();
    }
  }

  #add(delayMs: number, periodMs: number, run: () => void): { close(): void } {
    const timer = { at: this.#now + delayMs, periodMs, run };
    this.#timers.add(timer);
    return { close: () => this.#timers.delete(timer) };
  }
}

export interface TestStats extends Stats {
  read(name: string): number;
}

export function createTestStats(): TestStats {
  const values = new Map<string, number>();
  const add = (name: string, by: number) => values.set(name, (values.get(name) ?? 0) + by);
  const make = (name: string) => ({
    inc: (by = 1) => void add(name, by),
    dec: (by = 1) => void add(name, -by),
    set: (value: number) => void values.set(name, value),
    record: () => void add(name, 1),
    get value() {
      return values.get(name) ?? 0;
    },
  });
  return {
    counter: make,
    gauge: make,
    histogram: make,
    announce: () => undefined,
    scope: () => createTestStats(),
    read: (name) => values.get(name) ?? 0,
  };
}

export interface Limits {
  readonly connections?: number;
  readonly pendingRequests?: number;
  readonly requests?: number;
}

function createBreaker(limit = Number.POSITIVE_INFINITY): Breaker {
  let taken = 0;
  return {
    take() {
      if (taken >= limit) return false;
      taken++;
      return true;
    },
    release() {
      taken--;
    },
  };
}

export const noSecrets: SecretProvider = {
  open() {
    throw new Error("no secret is asked for here");
  },
  list: () => [],
};

export interface PoolRig {
  readonly pools: HostPools;
  readonly clock: TestClock;
  readonly stats: TestStats;
}

export function createPoolRig(
  cluster: Cluster = {},
  limits: Limits = {},
  secrets: SecretProvider = noSecrets,
): PoolRig {
  const clock = new TestClock();
  const stats = createTestStats();
  const breakers: CircuitBreakers = {
    connections: createBreaker(limits.connections),
    pendingRequests: createBreaker(limits.pendingRequests),
    requests: createBreaker(limits.requests),
    retries: createBreaker(),
    connectionPools: createBreaker(),
  };
  const pools = createHostPools({
    cluster: { name: "a", connect_timeout: duration(5000), ...cluster },
    ...{ stats, clock, log: silentLog, secrets },
    random: () => 0.5,
    breakers: () => breakers,
  });
  return { pools, clock, stats };
}

/** Closes it when the test that asks is over, what was opened last first. */
export function closeAfterTest<One extends { close(): unknown }>(one: One): One {
  onTestFinished(async () => {
    await one.close();
  });
  return one;
}

/** Pools that are closed with the test. */
export function openPoolRig(...options: Parameters<typeof createPoolRig>): PoolRig {
  const made = createPoolRig(...options);
  closeAfterTest(made.pools);
  return made;
}

/** A server of HTTP/1 that is closed with the test. */
export async function serveHttp(handle: RequestListener): Promise<TestServer> {
  return closeAfterTest(await listen(createHttpServer(handle)));
}

export function createHost(port: number, metadata: Host["metadata"] = {}, address = "127.0.0.1"): Host {
  return {
    ...{ address: port === 0 ? address : `${address}:${port}`, ip: port === 0 ? "" : address, port, hostname: "" },
    locality: { region: "", zone: "", sub_zone: "" },
    ...{ priority: 0, weight: 1, endpoint: {}, metadata, health: "healthy", activeRequests: 0 },
  };
}

export function createRequest(change: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    ...{ method: "GET", scheme: "http", authority: "a.test", path: "/", headers: new HeaderList() },
    ...{ body: undefined, upgrade: undefined, downstreamProtocol: "HTTP/1.1" },
    ...change,
  };
}

export async function readText(body: BodySource | undefined): Promise<string> {
  if (body === undefined) return "";
  const { bytes } = await collect(body, 100_000_000);
  return Buffer.from(bytes).toString("latin1");
}

/** Calls until it is so; fails after a bounded wait. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let round = 0; round < 2000; round++) {
    if (isSo()) return;
    await sleep(5);
  }
  throw new Error("it did not come to pass");
}

export interface TestServer {
  readonly port: number;
  readonly sockets: Set<Socket>;
  close(): Promise<void>;
}

/** Listens on a free port; ends all connections when it is closed. */
export async function listen(server: Server): Promise<TestServer> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    sockets,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** A server that answers every read with the given bytes, and closes behind them if told to. */
export function answerWith(bytes: string, closes = false): Promise<TestServer> {
  return listen(
    createServer((socket) => {
      socket.on("data", () => (closes ? socket.end(bytes, "latin1") : socket.write(bytes, "latin1")));
    }),
  );
}
