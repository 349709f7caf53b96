/** What the API server and the network do to watches, by number: nothing lost, converged, few lists, few requests. */
import { afterEach, expect, test } from "vitest";
import { refuse } from "../support/fake-api-server.ts";
import { TestClock } from "../support/test-clock.ts";
import { eventLine, KubernetesRig, type RigOptions, rawService } from "./kubernetes-source-rig.ts";

const open: KubernetesRig[] = [];

/** A rig that has read services a and b. */
async function start(options: RigOptions = {}): Promise<KubernetesRig> {
  const rig = await KubernetesRig.start({
    ...options,
    prepare: async (server, clock) => {
      server.put("services", rawService("a", 80));
      server.put("services", rawService("b", 80));
      await options.prepare?.(server, clock);
    },
  });
  open.push(rig);
  return rig;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((rig) => rig.close()));
});

const expired = { kind: "Status", code: 410, reason: "Expired", message: "too old resource version" };

test("I-1 410 when a watch is opened: one list, and what happened in between is there", async () => {
  const rig = await start();
  let refusals = 0;
  rig.server.faults.push(({ query }, response) => {
    if (query["watch"] !== "true" || query["sendInitialEvents"] === "true" || refusals === 1) return false;
    refusals++;
    rig.server.put("services", rawService("c", 80));
    refuse(response, 410, "Expired", "too old resource version");
    return true;
  });
  await rig.pass(2000);
  rig.server.endWatches();
  await rig.until(() => refusals === 1);
  await rig.converge();
  expect(rig.watch()).toMatchObject({ relists: 1, state: "watching" });
  expect(rig.server.listRequests("services")).toHaveLength(2);
});

test("I-2 410 as an event of a watch: one list", async () => {
  const rig = await start();
  rig.server.deafen();
  rig.server.put("services", rawService("a", 81));
  rig.server.remove("services", "b");
  rig.server.write("services", eventLine("ERROR", expired));
  await rig.converge();
  expect(rig.watch()).toMatchObject({ relists: 1, state: "watching" });
  expect(rig.reader.changeSets).toHaveLength(2);
});

test("I-3 compaction while a list is read in pages: the list is read whole", async () => {
  let compactions = 0;
  const rig = await start({
    limits: { pageSize: 2 },
    prepare: (server) => {
      server.canStreamLists = false;
      for (const name of ["c", "d", "e"]) server.put("services", rawService(name, 80));
      server.faults.push(({ query }) => {
        if (query["continue"] === undefined || compactions > 0) return false;
        compactions++;
        server.put("services", rawService("f", 80));
        server.compact();
        return false;
      });
    },
  });
  await rig.converge();
  expect(compactions).toBe(1);
  expect(rig.reader.changeSets[0]?.changes).toHaveLength(6);
  expect(rig.server.listRequests("services").at(-1)?.query["limit"]).toBeUndefined();
  // The streamed one that was refused, two pages, and the whole.
  expect(rig.server.listRequests("services")).toHaveLength(4);
});

test("I-4 a watch that the server ends a hundred times: each goes on from where the last one stood", async () => {
  const rig = await start();
  for (let round = 1; round <= 100; round++) {
    await rig.until(() => rig.server.countWatches("services") === 1);
    await rig.pass(1500, 500);
    rig.server.endWatches();
    if (round % 10 === 0) rig.server.put("services", rawService("a", 1000 + round));
  }
  await rig.converge();
  expect(rig.watch()).toMatchObject({ relists: 0, failures: 0 });
  expect(rig.server.listRequests("services")).toHaveLength(1);
  expect(rig.watchesOpened()).toHaveLength(100);
});

test("I-5 a connection that is reset: no list, nothing lost", async () => {
  const rig = await start();
  rig.server.reset();
  rig.server.put("services", rawService("c", 80));
  rig.server.remove("services", "a");
  await rig.converge();
  expect(rig.watch()).toMatchObject({ relists: 0, state: "watching" });
  expect(rig.server.listRequests("services")).toHaveLength(1);
});

test("I-6 a connection that stands and tells nothing is found out within 60 s", async () => {
  const rig = await start();
  await rig.pass(5000, 100);
  rig.server.deafen();
  const before = rig.clock.monotonic();
  rig.server.put("services", rawService("c", 80));
  await rig.converge();
  expect(rig.clock.monotonic() - before).toBeLessThan(60_000);
  expect(rig.watch()).toMatchObject({ relists: 0, state: "watching" });
});

test("I-6 a watch that has nothing to tell is not taken for a dead one, until it is silent for too long", async () => {
  const rig = await start();
  await rig.pass(170_000, 100);
  // Only the first one, which began as a list.
  expect(rig.watchesOpened()).toHaveLength(0);
  await rig.until(() => rig.watchesOpened().length === 1, 100);
  expect(rig.watch()).toMatchObject({ relists: 0 });
});

test.each([
  ["and remembers what happened", false, 0],
  ["and has forgotten what happened", true, 1],
])(
  "I-7 an API server that is down for five minutes %s: converged within 5 s of its return",
  async (_, forgets, relists) => {
    const rig = await start();
    await rig.server.down();
    await rig.pass(100_000, 100);
    expect(rig.source.listWatches()[0]?.state).toBe("retrying");
    expect(rig.reader.problems().map(({ code }) => code)).toEqual(["api-server-unreached"]);
    await rig.pass(200_000, 100);
    // Half of at most two seconds each time, with a floor.
    expect(rig.watch().failures).toBeLessThan(600);
    rig.server.put("services", rawService("c", 80));
    rig.server.remove("services", "a");
    if (forgets) rig.server.compact();
    expect(rig.reader.content()).toEqual(["Service default/a 80", "Service default/b 80"]);
    await rig.server.up();
    const back = rig.clock.monotonic();
    await rig.converge();
    expect(rig.clock.monotonic() - back).toBeLessThan(5000);
    await rig.until(() => rig.reader.problems().length === 0);
    expect(rig.watch().relists).toBe(relists);
  },
);

test("fault 2: an API server that is down at the start is waited for, and nothing is published", async () => {
  const rig = await KubernetesRig.open();
  open.push(rig);
  rig.server.put("services", rawService("a", 80));
  await rig.server.down();
  rig.begin(rig.reader);
  await rig.pass(30_000, 100);
  expect(rig.reader.changeSets).toEqual([]);
  expect(rig.source.isSynced()).toBe(false);
  await rig.server.up();
  await rig.until(() => rig.source.isSynced());
  await rig.started;
  expect(rig.reader.content()).toEqual(["Service default/a 80"]);
});

test.each([500, 503, 429])("I-8 %i for a minute: few requests, not before Retry-After, no list", async (status) => {
  const rig = await start();
  const asked: number[] = [];
  const retryAfter = status === 500 ? undefined : 7;
  rig.server.faults.push(({ path }, response) => {
    if (asked.length === 0 && rig.server.countWatches() > 0) return false;
    asked.push(rig.clock.monotonic());
    if (retryAfter !== undefined) response.setHeader("retry-after", String(retryAfter));
    refuse(response, status, "InternalError", `no ${path}`);
    return true;
  });
  await rig.pass(2000, 100);
  rig.server.endWatches();
  rig.server.put("services", rawService("a", 81));
  await rig.pass(60_000, 100);
  expect(asked.length).toBeGreaterThan(3);
  expect(asked.length).toBeLessThan(15);
  const gaps = asked.slice(1).map((at, index) => at - (asked[index] ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual((retryAfter ?? 0.1) * 1000);
  expect(rig.reader.content()).toEqual(["Service default/a 80", "Service default/b 80"]);
  rig.server.faults.length = 0;
  await rig.converge();
  expect(rig.watch().relists).toBe(0);
});

test("I-13 fifty thousand objects of 20 MB in packed pages", { timeout: 120_000 }, async () => {
  const rig = await start({
    prepare: (server) => {
      server.canStreamLists = false;
      server.packsLists = true;
      const annotations = { filler: "x".repeat(250) };
      for (let index = 0; index < 50_000; index++) {
        server.put("services", rawService(`s${index}`, 80, { annotations }));
      }
    },
  });
  expect(rig.reader.changeSets).toHaveLength(1);
  expect(rig.reader.changeSets[0]?.changes).toHaveLength(50_002);
  expect(rig.watch()).toMatchObject({ objects: 50_002, failures: 1, relists: 0 });
  expect(rig.server.listRequests("services")).toHaveLength(1 + 101);
});

test("I-14 nothing but bookmarks for ten minutes, then an event: the same watch", async () => {
  const rig = await start();
  for (let minute = 0; minute < 10; minute++) {
    await rig.pass(60_000, 200);
    rig.server.bookmark();
  }
  rig.server.put("services", rawService("a", 81));
  await rig.converge();
  // The list was streamed, and its watch is still the one.
  expect(rig.watchesOpened()).toHaveLength(0);
  expect(rig.watch()).toMatchObject({ relists: 0, failures: 0 });
  expect(rig.reader.changeSets).toHaveLength(2);
});

test("I-16 data that went back to a backup: one list, and what the backup does not hold is gone", async () => {
  const rig = await start();
  const restore = rig.server.save();
  for (let round = 0; round < 20; round++) rig.server.put("services", rawService("a", 100 + round));
  rig.server.put("services", rawService("late", 80));
  await rig.converge();
  restore();
  rig.server.reset();
  await rig.converge();
  expect(rig.reader.content()).toEqual(["Service default/a 80", "Service default/b 80"]);
  rig.server.put("services", rawService("a", 82));
  await rig.converge();
  expect(rig.watch()).toMatchObject({ relists: 1, state: "watching" });
});

test("I-19 a clock that jumps by an hour, forth and back, changes nothing", async () => {
  const clock = new TestClock();
  let jumpMs = 0;
  const seenClock = {
    now: () => clock.now() + jumpMs,
    monotonic: () => clock.monotonic(),
    after: (delayMs: number, run: () => void) => clock.after(delayMs, run),
    every: (periodMs: number, run: () => void) => clock.every(periodMs, run),
  };
  const rig = await start({ clock, seenClock });
  const before = rig.server.requests.length;
  for (const jump of [3_600_000, -3_600_000, 0]) {
    jumpMs = jump;
    await rig.pass(5000, 100);
    rig.server.put("services", rawService("a", 1000 + rig.clock.now()));
    await rig.converge();
  }
  expect(rig.server.requests).toHaveLength(before);
  expect(rig.watch()).toMatchObject({ relists: 0, failures: 0 });
});

test("I-20 a server that lags behind answers a list: it is not believed", async () => {
  const rig = await start({
    prepare: (server) => {
      server.canStreamLists = false;
    },
  });
  let stale = 0;
  rig.server.faults.push(({ query }, response) => {
    if (query["watch"] === "true" || query["limit"] !== "500" || stale === 2) return false;
    stale++;
    response.end(JSON.stringify({ kind: "ServiceList", metadata: { resourceVersion: "50" }, items: [] }));
    return true;
  });
  rig.server.put("services", rawService("c", 80));
  await rig.converge();
  rig.server.write("services", eventLine("ERROR", expired));
  rig.server.put("services", rawService("d", 80));
  await rig.until(() => rig.watch().relists === 1);
  await rig.converge();
  expect(stale).toBe(2);
  expect(rig.reader.changeSets.flatMap(({ changes }) => changes).filter(({ type }) => type === "deleted")).toEqual([]);
});

test('I-20 "too large resource version" for a streamed list: the list is read in pages', async () => {
  const rig = await start();
  let refused = 0;
  rig.server.faults.push(({ query }, response) => {
    if (query["sendInitialEvents"] !== "true") return false;
    refused++;
    refuse(response, 504, "Timeout", "Too large resource version: 120, current: 100");
    return true;
  });
  rig.server.compact();
  rig.server.put("services", rawService("c", 80));
  rig.server.write("services", eventLine("ERROR", expired));
  await rig.until(() => rig.watch().relists === 1);
  await rig.converge();
  expect(refused).toBe(1);
});
