import { describe, expect, it } from "vitest";
import type { DestinationRuleSpec, TrafficPolicy } from "../../api/destination-rule/schema.ts";
import { mergeRulePolicy } from "./traffic-policy.ts";

const random = { simple: "RANDOM" } as const;
const roundRobin = { simple: "ROUND_ROBIN" } as const;
const pool = { tcp: { maxConnections: 5 } };
const tls = { mode: "ISTIO_MUTUAL" } as const;
const proxyProtocol = { version: "V1" } as const;

function rule(trafficPolicy: TrafficPolicy | undefined, subset: TrafficPolicy | undefined): DestinationRuleSpec {
  return {
    host: "a",
    ...(trafficPolicy === undefined ? {} : { trafficPolicy }),
    subsets: [{ name: "s", ...(subset === undefined ? {} : { trafficPolicy: subset }) }],
  };
}

const portPolicy = (loadBalancer: TrafficPolicy["loadBalancer"]): TrafficPolicy => ({
  portLevelSettings: [{ port: { number: 80 }, ...(loadBalancer === undefined ? {} : { loadBalancer }) }],
});

describe("a subset's policy", () => {
  it.each<[string, TrafficPolicy | undefined, TrafficPolicy | undefined, TrafficPolicy | undefined]>([
    ["nothing at all", undefined, undefined, undefined],
    ["the rule's where the subset has none", { loadBalancer: random }, undefined, { loadBalancer: random }],
    ["the subset's where the rule has none", undefined, { loadBalancer: random }, { loadBalancer: random }],
    [
      "the subset's fields over the rule's",
      { loadBalancer: random, connectionPool: pool, proxyProtocol },
      { loadBalancer: roundRobin, tls },
      { loadBalancer: roundRobin, connectionPool: pool, tls, proxyProtocol },
    ],
    [
      "of a port of the subset: nothing of the rule's but what has no port form",
      { loadBalancer: random, connectionPool: pool, proxyProtocol },
      portPolicy(roundRobin),
      { loadBalancer: roundRobin, proxyProtocol },
    ],
    [
      "over the rule's policy of the port",
      { connectionPool: pool, ...portPolicy(random) },
      { tls },
      { loadBalancer: random, tls },
    ],
  ])("is %s", (_case, ofRule, ofSubset, expected) => {
    const merged = mergeRulePolicy(rule(ofRule, ofSubset), 80, "s");
    expect(merged).toEqual(expected);
  });
});

it("leaves other ports alone", () => {
  expect(mergeRulePolicy(rule(portPolicy(random), undefined), 81, "")).toMatchObject({ portLevelSettings: [{}] });
  expect(mergeRulePolicy(undefined, 80, "s")).toBeUndefined();
});
