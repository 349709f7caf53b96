import { describe, expect, it } from "vitest";
import type { Host } from "../upstream/types.ts";
import { healthCheckFactory } from "./health-check.ts";
import { createTestCluster, testHost } from "./test-cluster.ts";
import { createTestChain } from "./test-exchange.ts";

const headers = [{ name: ":path", string_match: { exact: "/hz" } }];
const local = { pass_through_mode: { value: false }, headers };

describe("healthCheckFactory", () => {
  it("answers itself, and only for what it is told to", async () => {
    const chain = createTestChain(healthCheckFactory, { filter: local });
    const outcome = await chain.ask({ path: "/hz" });
    expect(outcome.reply).toMatchObject({ status: 200, details: "health_check_ok" });
    expect(outcome.headers).toEqual({ "x-envoy-upstream-healthchecked-cluster": "service-1" });
    expect(outcome.info.isHealthCheck).toBe(true);
    expect((await chain.ask({ path: "/other" })).forwarded).toBeDefined();
    expect(chain.stat("http.test.health_check.ok")).toBe(1);
  });

  const host = (health: Host["health"]): Host => ({ ...testHost, health });
  it.each<[string, readonly Host[], number, string]>([
    ["up", [host("healthy"), host("unhealthy")], 50, "health_check_ok"],
    ["up", [host("degraded"), host("unhealthy")], 51, "health_check_failed_cluster_unhealthy"],
    ["up", [], 1, "health_check_failed_cluster_empty"],
    ["up", [], 0, "health_check_ok"],
    ["nobody", [], 0, "health_check_failed_cluster_not_found"],
  ])("asks cluster %s for its health", async (name, hosts, value, details) => {
    const clusters = createTestCluster("up", () => "never", hosts);
    const filter = { ...local, cluster_min_healthy_percentages: { [name]: { value } } };
    const { reply } = await createTestChain(healthCheckFactory, { filter, clusters }).ask({ path: "/hz" });
    expect(reply).toMatchObject({ status: details === "health_check_ok" ? 200 : 503, details });
  });

  it("passes checks on, and remembers for a time", async () => {
    let time = 0;
    const clock = {
      now: () => 0,
      monotonic: () => time,
      after: () => ({ close: () => undefined }),
      every: () => ({ close: () => undefined }),
    };
    const filter = { pass_through_mode: { value: true }, cache_time: { seconds: 1 }, headers };
    const chain = createTestChain(healthCheckFactory, { filter, clock });
    expect((await chain.ask({ path: "/hz" }, { status: 503 })).forwarded).toBeDefined();
    expect(await chain.ask({ path: "/hz" })).toMatchObject({ status: 503, forwarded: undefined });
    time = 1001;
    expect((await chain.ask({ path: "/hz" })).forwarded).toBeDefined();
  });

  it("fails while an administrator wants it to, and refuses a cache for its own answers", async () => {
    const chain = createTestChain(healthCheckFactory, { filter: local, env: { isFailingHealthChecks: () => true } });
    const outcome = await chain.ask({ path: "/hz" });
    expect(outcome.reply).toMatchObject({ status: 503, flags: ["LH"], details: "health_check_failed" });
    expect(outcome.headers["x-envoy-immediate-health-check-fail"]).toBe("true");
    expect(() => createTestChain(healthCheckFactory, { filter: { ...local, cache_time: { seconds: 1 } } })).toThrow(
      "cache_time",
    );
  });
});
