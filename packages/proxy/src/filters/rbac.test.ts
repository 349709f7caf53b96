import { describe, expect, it } from "vitest";
import { rbacFactory } from "./rbac.ts";
import { createTestChain } from "./test-exchange.ts";

const rules = (action: "ALLOW" | "DENY", path: string) => ({
  action,
  policies: {
    "my policy": {
      permissions: [{ url_path: { path: { prefix: path } } }],
      principals: [{ any: true }],
    },
  },
});

describe("rbacFactory", () => {
  it.each([
    [rules("ALLOW", "/a"), "/a/b", undefined],
    [rules("ALLOW", "/a"), "/b", "rbac_access_denied_matched_policy[none]"],
    [rules("DENY", "/a"), "/a", "rbac_access_denied_matched_policy[my_policy]"],
    [rules("DENY", "/a"), "/b", undefined],
    [{ action: "ALLOW" }, "/", "rbac_access_denied_matched_policy[none]"],
    [undefined, "/", undefined],
  ])("%j: %s", async (config, path, details) => {
    const chain = createTestChain(rbacFactory, { filter: { rules: config } });
    const { reply } = await chain.ask({ path });
    expect(reply).toEqual(details === undefined ? undefined : { status: 403, body: "RBAC: access denied", details });
    expect(chain.stat("http.test.rbac.denied")).toBe(details === undefined ? 0 : 1);
  });

  it("notes what shadow rules would do", async () => {
    const filter = { shadow_rules: rules("DENY", "/a"), shadow_rules_stat_prefix: "istio_dry_run_deny_" };
    const chain = createTestChain(rbacFactory, { filter });
    const { info, status } = await chain.ask({ path: "/a" });
    expect(status).toBe(200);
    expect(info.dynamicMetadata.get("envoy.filters.http.rbac")).toEqual({
      istio_dry_run_deny_shadow_effective_policy_id: "my policy",
      istio_dry_run_deny_shadow_engine_result: "denied",
    });
    expect(chain.stat("http.test.rbac.istio_dry_run_deny_.shadow_denied")).toBe(1);
  });

  it("takes the rules of the route, or none where it has none", async () => {
    const filter = { rules: rules("DENY", "/a") };
    expect((await createTestChain(rbacFactory, { filter, perRoute: [{}] }).ask({ path: "/a" })).status).toBe(200);
    const perRoute = [{ rbac: { rules: rules("DENY", "/b") } }];
    expect((await createTestChain(rbacFactory, { filter, perRoute }).ask({ path: "/b" })).status).toBe(403);
  });

  it.each([
    ["en_", "sh_", "en_", "sh_"],
    ["en.", "sh.", "en", "sh"],
  ])("counts policies below the prefixes %s and %s", async (prefix, shadowPrefix, place, shadowPlace) => {
    const filter = {
      rules: rules("DENY", "/a"),
      shadow_rules: rules("DENY", "/b"),
      rules_stat_prefix: prefix,
      shadow_rules_stat_prefix: shadowPrefix,
      track_per_rule_stats: true,
    };
    const chain = createTestChain(rbacFactory, { filter });
    await chain.ask({ path: "/a" });
    await chain.ask({ path: "/b" });
    expect(chain.stat(`http.test.rbac.${place}.policy.my policy.denied`)).toBe(1);
    expect(chain.stat(`http.test.rbac.${shadowPlace}.policy.my policy.shadow_denied`)).toBe(1);
  });

  it("counts policies where it is told to, and refuses matchers", async () => {
    const chain = createTestChain(rbacFactory, { filter: { rules: rules("DENY", "/a"), track_per_rule_stats: true } });
    await chain.ask({ path: "/a" });
    expect(chain.stat("http.test.rbac.policy.my policy.denied")).toBe(1);
    expect(() => createTestChain(rbacFactory, { filter: { matcher: {} } })).toThrow("matcher: is not supported");
  });
});
