import { encode } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { describe, expect, it } from "vitest";
import { systemClock } from "../lib/clock.ts";
import { ConfigError } from "../lib/config-error.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import { resourceTypes } from "./resource-types.ts";
import type { ReceivedResource, ResourceUpdate } from "./resource-update.ts";
import { createSubscriptionStats } from "./subscription-stats.ts";
import { WholeSet } from "./whole-set.ts";

/** Takes clusters over as their names say. */
function createSet(): { readonly set: WholeSet<Cluster>; readonly calls: string[]; readonly warm: () => void } {
  const calls: string[] = [];
  const warming = Promise.withResolvers<void>();
  const set = new WholeSet<Cluster>({
    type: resourceTypes.cds,
    clock: systemClock,
    log: silentLog,
    stats: createSubscriptionStats(createStatsRegistry(), { hash: () => 0, now: () => 0 }),
    update({ name = "", alt_stat_name: alt = "" }) {
      calls.push(`update ${name}${alt}`);
      if (alt === "throws") throw new ConfigError("lb_policy", "is bad");
      if (alt === "rejects") return Promise.reject(new Error("is taken"));
      return alt === "warms" ? warming.promise : Promise.resolve();
    },
    remove: (name) => calls.push(`remove ${name}`),
  });
  return { set, calls, warm: () => warming.resolve() };
}

function resource(cluster: Cluster, version = "1"): ReceivedResource {
  return {
    name: cluster.name ?? "",
    version,
    typeName: "envoy.config.cluster.v3.Cluster",
    bytes: encode("envoy.config.cluster.v3.Cluster", cluster),
  };
}

function update(clusters: readonly Cluster[], removed: readonly string[] = [], version = "1"): ResourceUpdate {
  return { version, removed, unreadable: [], resources: clusters.map((cluster) => resource(cluster, version)) };
}

describe("WholeSet", () => {
  it("takes over what has changed, and removes what has vanished", async () => {
    const { set, calls } = createSet();
    await set.apply(update([{ name: "a" }, { name: "b" }]));
    await set.apply(update([{ name: "a" }, { name: "b", lb_policy: "RANDOM" }], ["c"], "2"));
    await set.apply(update([], ["a"], "3"));
    expect(calls).toEqual(["update a", "update b", "update b", "remove a"]);
    expect(set.dump().map(({ name, version, isWarming }) => [name, version, isWarming])).toEqual([["b", "2", false]]);
  });

  it("refuses what throws, and what fails at once, and takes the rest", async () => {
    const { set } = createSet();
    const clusters = ["throws", "rejects", "fits"].map((alt) => ({ name: alt, alt_stat_name: alt }));
    const rejections = await set.apply(update(clusters));
    expect(rejections).toEqual([
      { resource: "Cluster throws", reason: "lb_policy: is bad" },
      { resource: "Cluster rejects", reason: "is taken" },
    ]);
    expect(set.dump().map(({ name }) => name)).toEqual(["fits"]);
    expect([...set.errors().keys()]).toEqual(["throws", "rejects"]);
    await set.ready;
  });

  it("tries again what was refused, though it is the same", async () => {
    const { set, calls } = createSet();
    await set.apply(update([{ name: "a", alt_stat_name: "rejects" }]));
    await set.apply(update([{ name: "a", alt_stat_name: "rejects" }]));
    expect(calls).toEqual(["update arejects", "update arejects"]);
  });

  it("does not remember what never could be used", async () => {
    const { set } = createSet();
    await set.apply(update([{ name: "fits" }, { name: "bad", alt_stat_name: "throws" }]));
    expect(set.errors().size).toBe(1);
    await set.apply(
      update([
        { name: "fits", alt_stat_name: "throws" },
        { name: "worse", alt_stat_name: "throws" },
      ]),
    );
    // What is in use keeps its error with it; the others are those of this update.
    expect([...set.errors().keys()]).toEqual(["fits", "worse"]);
    expect(set.has("bad")).toBe(false);
    expect(set.dump().map(({ name }) => name)).toEqual(["fits"]);
  });

  it("answers before what warms is ready, and is ready when it is", async () => {
    const { set, warm } = createSet();
    let isReady = false;
    void set.ready.then(() => {
      isReady = true;
    });
    expect(await set.apply(update([{ name: "a", alt_stat_name: "warms" }]))).toEqual([]);
    expect([isReady, set.dump().map(({ isWarming }) => isWarming)]).toEqual([false, [true]]);
    warm();
    await set.ready;
    expect(set.dump().map(({ isWarming }) => isWarming)).toEqual([false]);
  });

  it("leaves what the bootstrap has alone", async () => {
    const { set, calls } = createSet();
    await set.addStatic("a", { name: "a" });
    await set.apply(update([{ name: "a", lb_policy: "RANDOM" }]));
    await set.apply(update([], ["a"]));
    expect(calls).toEqual(["update a"]);
    expect(set.dump().map(({ isStatic }) => isStatic)).toEqual([true]);
  });
});
