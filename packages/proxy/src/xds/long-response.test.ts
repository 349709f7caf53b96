/** What a response of many resources means for everybody else, and what becomes of it where its stream ends meanwhile. */
import { encode, packAny, typeUrl } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { expect, it } from "vitest";
import { type Clock, systemClock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import { adsMethods, resourceTypes } from "./resource-types.ts";
import { createSubscriptionStats } from "./subscription-stats.ts";
import { WholeSet } from "./whole-set.ts";
import { type MessageStreamEvents, XdsClient } from "./xds-client.ts";

const clusterCount = 5_000;
const typeName = "envoy.config.cluster.v3.Cluster";

/** A clock on which each look takes a tenth of a millisecond, so that slices are counted and not timed. */
class WorkClock implements Clock {
  rests = 0;
  /** Called with each rest. */
  onRest: (count: number) => void = () => undefined;
  #now = 0;

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    this.#now += 0.1;
    return this.#now;
  }

  after(_delayMs: number, run: () => void): { close(): void } {
    setImmediate(() => {
      this.rests += 1;
      this.onRest(this.rests);
      run();
    });
    return { close: () => undefined };
  }

  every(periodMs: number, run: () => void): { close(): void } {
    return systemClock.every(periodMs, run);
  }
}

function start(clock: Clock) {
  const calls = { updated: 0, removed: 0, longWork: "", sent: 0 };
  const set = new WholeSet<Cluster>({
    type: resourceTypes.cds,
    clock,
    log: silentLog,
    stats: createSubscriptionStats(createStatsRegistry(), { hash: () => 0, now: () => 0 }),
    update: () => {
      calls.updated += 1;
      return Promise.resolve();
    },
    remove: () => {
      calls.removed += 1;
    },
  });
  const streams: MessageStreamEvents[] = [];
  const client = new XdsClient({
    open: (_method, events) => {
      streams.push(events);
      return {
        send: () => {
          calls.sent += 1;
        },
        whenSent: undefined,
        resume: () => undefined,
        close: () => undefined,
      };
    },
    method: adsMethods.sotw,
    isDelta: false,
    node: {},
    sendsNodeOnce: true,
    random: () => 0,
    log: silentLog,
    stats: createStatsRegistry(),
    longWork: {
      begin: () => {
        calls.longWork += "(";
      },
      end: () => {
        calls.longWork += ")";
      },
    },
    clock,
  });
  client.subscribe(resourceTypes.cds, set).want("*");
  client.start();
  return { calls, client, set, receive: (message: Uint8Array) => streams.at(-1)?.onMessage([message]), streams };
}

function response(nonce: string, count: number): Uint8Array {
  return encode("envoy.service.discovery.v3.DiscoveryResponse", {
    version_info: nonce,
    nonce,
    type_url: typeUrl(typeName),
    resources: Array.from({ length: count }, (_, index) => packAny(typeName, { name: `cluster-${index}` })),
  });
}

it("lets others work while thousands of clusters come, and while they go", async () => {
  const clock = new WorkClock();
  const { calls, client, receive } = start(clock);
  // What was asked for is sent; an answer to each response follows.
  receive(response("1", clusterCount));
  await expect.poll(() => calls.sent).toBe(2);
  expect(calls.updated).toBe(clusterCount);
  // Read, decoded and taken over: a look at the clock for each, a rest for every twenty looks.
  expect(clock.rests).toBeGreaterThan((3 * clusterCount) / 25);
  expect(calls.longWork).toBe("()");
  const before = clock.rests;
  receive(response("2", 1));
  await expect.poll(() => calls.sent).toBe(3);
  expect(calls.removed).toBe(clusterCount - 1);
  expect(clock.rests - before).toBeGreaterThan(clusterCount / 25);
  expect(calls.longWork).toBe("()");
  client.close();
});

it("takes nothing of a response whose stream ends while it is read", async () => {
  const clock = new WorkClock();
  const { calls, client, receive, streams } = start(clock);
  const isBack = Promise.withResolvers<void>();
  clock.onRest = (count) => {
    if (count === 10) streams[0]?.onEnd("gone");
    if (streams.length === 2) isBack.resolve();
  };
  receive(response("1", clusterCount));
  await isBack.promise;
  receive(response("2", 3));
  await expect.poll(() => calls.updated).toBe(3);
  expect(calls.longWork).toBe("()");
  client.close();
});

it("counts a long response as long work from its first byte on, to its end or that of its stream", async () => {
  const { calls, client, receive, streams } = start(new WorkClock());
  streams.at(-1)?.onLength(1_000_000);
  expect(calls.longWork).toBe("(");
  receive(response("1", 1));
  await expect.poll(() => calls.sent).toBe(2);
  expect(calls.longWork).toBe("()");
  streams.at(-1)?.onLength(1_000);
  expect(calls.longWork).toBe("()");
  streams.at(-1)?.onLength(1_000_000);
  streams.at(-1)?.onEnd("gone");
  expect(calls.longWork).toBe("()()");
  client.close();
});
