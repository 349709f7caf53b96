import { expect, test } from "vitest";
import { type LoadBalancerContext, UpstreamError } from "../upstream/types.ts";
import { dynamicForwardProxyFactory } from "./dynamic-forward-proxy.ts";
import { createTestCluster } from "./test-cluster.ts";
import { createTestChain, type TestChain } from "./test-exchange.ts";

const name = "a";

function chain(resolve: (context: LoadBalancerContext) => Promise<unknown> | undefined, perRoute?: object): TestChain {
  const clusters = createTestCluster(name, () => ({ status: 200 }));
  const [cluster] = clusters.list();
  if (cluster !== undefined) cluster.resolve = resolve;
  const action = { kind: "forward", cluster: name, plan: {}, wire: {} } as never;
  return createTestChain(dynamicForwardProxyFactory, {
    ...{ filter: {}, clusters, route: { action } },
    perRoute: perRoute === undefined ? [] : [perRoute],
  });
}

test("the name is looked up before the rest of the chain is asked", async () => {
  const asked: unknown[] = [];
  const resolve = ({ authority }: LoadBalancerContext): undefined => void asked.push(authority);
  const outcome = await chain(resolve).ask({ authority: "b.test:8080" });
  expect([asked, outcome.forwarded?.authority]).toEqual([["b.test:8080"], "b.test:8080"]);
  await chain(resolve, { host_rewrite_literal: "c.test" }).ask({ authority: "b.test" });
  expect(asked).toEqual(["b.test:8080", "c.test"]);
});

test.each([
  [
    new UpstreamError("dns-failure", { cause: "cares_norecords:Domain name not found" }),
    {
      status: 503,
      body: "DNS resolution failure",
      flags: ["DF"],
      details: "dns_resolution_failure{cares_norecords:Domain_name_not_found}",
    },
  ],
  [
    new UpstreamError("overflow", { cause: "DNS cache overflow" }),
    { status: 503, body: "DNS cache overflow", details: "dns_cache_overflow" },
  ],
])("a name that is not found is answered here: %s", async (cause, expected) => {
  const outcome = await chain(() => Promise.reject(cause)).ask({ authority: "gone.test" });
  expect([outcome.reply, outcome.forwarded]).toEqual([expected, undefined]);
  expect(outcome.info.clusterName).toBe(name);
});
