import { encode } from "@meltemi/protos";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import { describe, expect, it } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { ConfigError } from "../lib/config-error.ts";
import { NamedResources, type ResourceSlot } from "./named-resources.ts";
import { resourceTypes } from "./resource-types.ts";
import type { ReceivedResource, ResourceHandler } from "./resource-update.ts";
import type { Rejection } from "./subscription-state.ts";

interface Rig {
  readonly tables: NamedResources<string>;
  readonly clock: TestClock;
  /** What was asked for, in order. */
  readonly asked: (readonly string[])[];
  send(...tables: RouteConfiguration[]): Promise<readonly Rejection[]>;
  remove(name: string): Promise<unknown>;
}

/** Tables are told by their first virtual host; one called "bad" cannot be used. */
function createRig(): Rig {
  const asked: (readonly string[])[] = [];
  const clock = new TestClock();
  const handlers: ResourceHandler[] = [];
  const tables = new NamedResources<string>({
    type: resourceTypes.rds,
    clock,
    sources: {
      subscribe(_source, _type, handler) {
        handlers.push(handler);
        return { want: (names) => asked.push([...names]), close: () => undefined };
      },
    },
    compile(message) {
      const host = (message as RouteConfiguration).virtual_hosts?.[0]?.name ?? "";
      if (host === "bad") throw new ConfigError("virtual_hosts[0]", "is bad");
      return host;
    },
  });
  const apply = (resources: readonly ReceivedResource[], removed: readonly string[]) =>
    handlers[0]?.apply({ version: "1", resources, removed, unreadable: [] }) ?? Promise.resolve([]);
  return {
    ...{ tables, clock, asked },
    send: (...wires) =>
      apply(
        wires.map((wire) => ({
          name: wire.name ?? "",
          version: "1",
          typeName: "envoy.config.route.v3.RouteConfiguration",
          bytes: encode("envoy.config.route.v3.RouteConfiguration", wire),
        })),
        [],
      ),
    remove: (name) => apply([], [name]),
  };
}

const table = (name: string, host: string): RouteConfiguration => ({ name, virtual_hosts: [{ name: host }] });
const isReady = async (slot: ResourceSlot<string>): Promise<boolean> =>
  await Promise.race([slot.ready.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);
const open = ({ tables }: Rig, name: string): ResourceSlot<string> =>
  tables.open(name, { source: undefined, stats: undefined });

describe("NamedResources", () => {
  it("asks once for all names that are opened in one go, and for no name twice", async () => {
    const rig = createRig();
    const slots = [open(rig, "b"), open(rig, "a"), open(rig, "a")];
    await Promise.resolve();
    expect(rig.asked).toEqual([["a", "b"]]);
    slots[1]?.close();
    slots[1]?.close();
    await Promise.resolve();
    expect(rig.asked.length).toBe(1);
    slots[2]?.close();
    await Promise.resolve();
    expect(rig.asked[1]).toEqual(["b"]);
  });

  it("keeps what is let go and opened again at once", async () => {
    const rig = createRig();
    const first = open(rig, "a");
    await rig.send(table("a", "one"));
    first.close();
    expect(open(rig, "a").current).toBe("one");
    await Promise.resolve();
    expect(rig.asked).toEqual([["a"]]);
  });

  it("gives all users the same value, tells them of others only, and keeps the last good one", async () => {
    const rig = createRig();
    const [left, right] = [open(rig, "a"), open(rig, "a")];
    const seen: (string | undefined)[] = [];
    left.onChange(() => seen.push(right.current));
    await rig.send(table("a", "one"), table("stranger", "x"));
    await rig.send(table("a", "one"));
    expect(await rig.send(table("a", "bad"))).toEqual([
      { resource: "RouteConfiguration a", reason: "virtual_hosts[0]: is bad" },
    ]);
    await rig.remove("a");
    expect([seen, left.current]).toEqual([["one"], "one"]);
    expect(rig.tables.list().map(({ error }) => error?.details)).toEqual(["virtual_hosts[0]: is bad"]);
  });

  it("refuses what a user cannot do with", async () => {
    const rig = createRig();
    const slot = open(rig, "a");
    await rig.send(table("a", "one"));
    const stop = slot.onChange(() => {
      throw new ConfigError("domains", "are too many");
    });
    expect(await rig.send(table("a", "two"))).toEqual([
      { resource: "RouteConfiguration a", reason: "domains: are too many" },
    ]);
    expect(slot.current).toBe("one");
    stop();
    expect(await rig.send(table("a", "two"))).toEqual([]);
    expect(slot.current).toBe("two");
  });

  it.each([
    ["it came", (rig: Rig) => rig.send(table("a", "one"))],
    ["it was refused", (rig: Rig) => rig.send(table("a", "bad"))],
    ["the server says that there is none", (rig: Rig) => rig.remove("a")],
    ["its time is over", (rig: Rig) => rig.clock.advance(15_000)],
    ["all ends", (rig: Rig) => rig.tables.close()],
  ])("is waited for until %s", async (_what, end) => {
    const rig = createRig();
    const slot = open(rig, "a");
    expect(await isReady(slot)).toBe(false);
    await end(rig);
    expect(await isReady(slot)).toBe(true);
  });
});
