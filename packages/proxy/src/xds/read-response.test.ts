import { encode, packAny, typeUrl } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { describe, expect, it } from "vitest";
import { systemClock } from "../lib/clock.ts";
import { Turns } from "../lib/turns.ts";
import {
  nothingEarlier,
  type Response,
  readResponse,
  readSotwResponse,
  readUpdate,
  UpdateReader,
} from "./read-response.ts";
import { resourceTypes } from "./resource-types.ts";
import { decodeResource } from "./resource-update.ts";

const typeName = "envoy.config.cluster.v3.Cluster";

function response(version: string, clusters: readonly Cluster[]): Response {
  const resources = clusters.map((cluster) => ({ version, resource: packAny(typeName, cluster) }));
  return { typeName, nonce: "", version, controlPlane: "", resources, removed: [] };
}

const clusters = (...names: readonly string[]): readonly Cluster[] =>
  names.map((name) => ({ name: name.slice(0, 1), ...(name.length > 1 ? { alt_stat_name: name } : {}) }));

describe("readUpdate", () => {
  it.each([
    ["the same", ["a", "b", "c"], "abc"],
    ["a new first one", ["n", "a", "b", "c"], "abc"],
    ["a new last one", ["a", "b", "c", "n"], "abc"],
    ["one that is gone", ["a", "c"], "ac"],
    ["one that has changed", ["a", "b2", "c"], "ac"],
  ])("takes what comes again as it was: %s", (_what, names, reused) => {
    const { resources } = readUpdate(resourceTypes.cds, response("1", clusters("a", "b", "c")), nothingEarlier);
    const update = readUpdate(resourceTypes.cds, response("2", clusters(...names)), { known: [], resources });
    const before = new Set(resources.map(({ bytes }) => bytes));
    const again = update.resources.filter(({ bytes }) => before.has(bytes));
    expect(again.map(({ name }) => name).join("")).toBe(reused);
    const messages = update.resources.map(decodeResource);
    expect(messages.map((message) => message["alt_stat_name"] ?? message["name"])).toEqual(names);
    expect(update.resources.every(({ version }) => version === "2")).toBe(true);
  });

  it("keeps nothing of a response but its resources", () => {
    const whole = response("1", clusters("a"));
    const value = whole.resources[0]?.resource?.value;
    const [resource] = readUpdate(resourceTypes.cds, whole, nothingEarlier).resources;
    expect(resource?.bytes).toEqual(value);
    expect(resource?.bytes.buffer).not.toBe(value?.buffer);
  });

  it("takes resources out of their wrapping, and heartbeats for nothing", () => {
    const wrapped = packAny("envoy.service.discovery.v3.Resource", {
      name: "a",
      version: "7",
      resource: packAny(typeName, { name: "a" }),
    });
    const { resources, unreadable } = readUpdate(
      resourceTypes.cds,
      {
        ...response("1", []),
        resources: [
          { version: "1", resource: wrapped },
          { name: "b", version: "1" },
        ],
      },
      nothingEarlier,
    );
    expect(resources.map(({ name, version }) => [name, version])).toEqual([["a", "7"]]);
    expect(unreadable).toEqual([]);
  });
});

describe("readResponse", () => {
  const resources = clusters("a", "b", "c").map((cluster) => packAny(typeName, cluster));
  const sotw = {
    version_info: "7",
    type_url: typeUrl(typeName),
    nonce: "n",
    resources,
    control_plane: { identifier: "me" },
  };
  const isDelta = false;

  it("reads a state of the world as if it were read at once", async () => {
    const bytes = encode("envoy.service.discovery.v3.DiscoveryResponse", sotw);
    const read = await readResponse([bytes], { isDelta, turns: new Turns({ ...systemClock, monotonic: () => 0 }) });
    expect(read).toMatchObject(readSotwResponse(bytes));
    expect(read).toMatchObject({ version: "7", nonce: "n", controlPlane: "me", typeName });
    expect(read.resources.map(({ resource, version }) => [resource, version])).toEqual(
      resources.map((one) => [one, "7"]),
    );
  });

  it("gives the memory of a long message back piece by piece, as it is read", async () => {
    const names = ["a", "b", "c", "d", "e"];
    const large = names.map((name) => ({ name, alt_stat_name: name.repeat(15_000) }));
    const bytes = encode("envoy.service.discovery.v3.DiscoveryResponse", {
      resources: large.map((cluster) => packAny(typeName, cluster)),
    });
    // The third goes over the end of the first piece.
    const pieces = [bytes.slice(0, 40_000), bytes.slice(40_000)];
    const read = await readResponse(pieces, { isDelta, turns: new Turns({ ...systemClock, monotonic: () => 0 }) });
    const reader = new UpdateReader(resourceTypes.cds, read, nothingEarlier);
    const lengths: number[][] = [];
    for (const [index, wire] of read.resources.entries()) {
      reader.take(index, wire);
      lengths.push(pieces.map(({ length }) => length));
    }
    const second = bytes.length - 40_000;
    expect(lengths).toEqual([
      [40_000, second],
      [0, second],
      [0, second],
      [0, second],
      [0, 0],
    ]);
    expect(reader.finish().resources.map(decodeResource)).toMatchObject(large);
  });

  it("reads what is removed, and versions of its own, of a change", async () => {
    const bytes = encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
      type_url: typeUrl(typeName),
      nonce: "n",
      system_version_info: "8",
      resources: [{ name: "a", version: "3", resource: resources[0] }],
      removed_resources: ["b"],
      removed_resource_names: [{ name: "c" }],
    });
    const read = await readResponse([bytes], {
      isDelta: true,
      turns: new Turns({ ...systemClock, monotonic: () => 0 }),
    });
    expect(read).toMatchObject({ version: "8", removed: ["b", "c"], typeName });
    expect(read.resources).toEqual([{ name: "a", version: "3", resource: resources[0] }]);
  });

  it("lets others work between resources", async () => {
    let now = 0;
    let rests = 0;
    // Each look at the clock takes a millisecond.
    const turns = new Turns({
      monotonic: () => now++,
      after: (_delayMs, run) => {
        rests += 1;
        setImmediate(run);
        return { close: () => undefined };
      },
    });
    const many = { ...sotw, resources: Array.from({ length: 1_000 }, () => packAny(typeName, { name: "a" })) };
    const bytes = encode("envoy.service.discovery.v3.DiscoveryResponse", many);
    const read = await readResponse([bytes], { isDelta, turns });
    expect(read.resources).toHaveLength(1_000);
    expect(rests).toBeGreaterThan(300);
  });

  it.each([
    ["bytes that are no message", Uint8Array.of(0xff, 0xff)],
    ["a resource that is none", Uint8Array.of(0x12, 1, 0x0f)],
    ["a head that is none", Uint8Array.of(0x32, 2, 0x0a, 9)],
  ])("refuses %s", async (_what, bytes) => {
    const turns = new Turns({ ...systemClock, monotonic: () => 0 });
    const [one, other] = [() => readSotwResponse(bytes), () => readResponse([bytes], { isDelta, turns })];
    expect(one).toThrow();
    await expect(other()).rejects.toThrow();
  });
});

it("gives back what no resource was read from", async () => {
  const bytes = encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
    removed_resources: ["x".repeat(20_000)],
  });
  const pieces = [new Uint8Array(bytes)];
  const turns = new Turns({ ...systemClock, monotonic: () => 0 });
  const { removed } = readUpdate(
    resourceTypes.cds,
    await readResponse(pieces, { isDelta: true, turns }),
    nothingEarlier,
  );
  expect(pieces[0]?.length).toBe(0);
  expect(removed).toEqual(["x".repeat(20_000)]);
});
