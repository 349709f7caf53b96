import { describe, expect, it } from "vitest";
import { buildMesh } from "../../../test/support/mesh-objects.ts";
import { findDestinationRule, type RuleClient } from "./destination-rule-index.ts";

const service = `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: svc}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
`;
const rule = (name: string, namespace: string, spec = "", host = "a.svc.svc.cluster.local"): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: ${namespace}}
spec: {host: "${host}"${spec === "" ? "" : `, ${spec}`}}
---
`;

function find(yaml: string, client: Partial<RuleClient> = {}) {
  const { services, destinationRules, mesh } = buildMesh(service + yaml).current;
  const [target] = services.all;
  if (target === undefined) throw new Error("no service");
  return findDestinationRule(destinationRules, target, {
    client: { namespace: "client", labels: {}, direction: "outbound", ...client },
    options: { rootNamespace: mesh.rootNamespace, defaultExportTo: mesh.defaultDestinationRuleExportTo },
  });
}
const namesOf = (found: ReturnType<typeof find>): readonly string[] => (found?.sources ?? []).map((ref) => ref.name);

describe("the look-up of a destination rule", () => {
  it.each([
    ["the client's namespace first", rule("c", "client") + rule("s", "svc") + rule("r", "istio-system"), ["c"]],
    ["then the service's", rule("s", "svc") + rule("r", "istio-system"), ["s"]],
    ["then the root's", rule("r", "istio-system") + rule("x", "third"), ["r"]],
    ["no other", rule("x", "third"), []],
    ["a short host in its own namespace", rule("s", "svc", "", "a"), ["s"]],
    ["the exact host before a wildcard", rule("w", "client", "", "*.svc.cluster.local") + rule("e", "client"), ["e"]],
    [
      "the longer wildcard",
      rule("w", "client", "", "*.local") + rule("v", "client", "", "*.svc.svc.cluster.local"),
      ["v"],
    ],
    [
      "a wildcard of the client before the exact one of the service",
      rule("w", "client", "", "*.local") + rule("s", "svc"),
      ["w"],
    ],
    ["only what is exported", rule("s", "svc", "exportTo: ['.']") + rule("r", "istio-system"), ["r"]],
    ["what is exported to the client", rule("s", "svc", "exportTo: [client]"), ["s"]],
    ["what is exported to others not", rule("s", "svc", "exportTo: [third]"), []],
    [
      "nothing of the client that it exports to others only",
      rule("c", "client", "exportTo: [third]") + rule("s", "svc"),
      ["s"],
    ],
    ["no private rule of the root namespace", rule("r", "istio-system", "exportTo: ['.']"), []],
  ])("takes %s", (_, yaml, expected) => {
    expect(namesOf(find(yaml))).toEqual(expected);
  });

  it("prefers the service's rule to public ones of the root namespace for proxies of that namespace", () => {
    const yaml = rule("r", "istio-system") + rule("s", "svc");
    expect(namesOf(find(yaml, { namespace: "istio-system" }))).toEqual(["s"]);
    const kept = rule("p", "istio-system", "exportTo: ['.']") + rule("s", "svc");
    expect(namesOf(find(kept, { namespace: "istio-system" }))).toEqual(["p"]);
  });

  it("takes a rule for single workloads for these only, and for what they call only", () => {
    const yaml =
      rule("all", "client", "subsets: [{name: v1}]") +
      rule(
        "some",
        "client",
        "workloadSelector: {matchLabels: {app: x}}, trafficPolicy: {loadBalancer: {simple: RANDOM}}",
      );
    expect(namesOf(find(yaml, { labels: { app: "x" } }))).toEqual(["some"]);
    expect(namesOf(find(yaml, { labels: { app: "x" }, direction: "inbound" }))[0]).toBe("all");
    expect(namesOf(find(yaml, { labels: { app: "y" } }))[0]).toBe("all");
  });
});

describe("the merging of destination rules", () => {
  it("adds up subsets, keeps the first of equal names and the first policy", () => {
    const found = find(
      rule("a1", "client", "subsets: [{name: v1, labels: {version: first}}]") +
        rule(
          "a2",
          "client",
          "trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: v1, labels: {version: second}}, {name: v2}]",
        ) +
        rule("a3", "client", "trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}, subsets: [{name: v3}]"),
    );
    expect(namesOf(found)).toEqual(["a1", "a2", "a3"]);
    expect(found?.spec.subsets).toEqual([{ name: "v1", labels: { version: "first" } }, { name: "v2" }, { name: "v3" }]);
    expect(found?.spec.trafficPolicy).toEqual({ loadBalancer: { simple: "RANDOM" } });
  });

  it("does not merge rules of different audiences", () => {
    const found = find(
      rule("a1", "svc", "exportTo: [client], subsets: [{name: v1}]") + rule("a2", "svc", "subsets: [{name: v2}]"),
    );
    expect(found?.spec.subsets).toHaveLength(1);
  });

  const some = "workloadSelector: {matchLabels: {app: x}}, subsets: [{name: s}]";
  const toAll = "subsets: [{name: a}]";
  it.each([
    // What a rule for single workloads and a younger one for all say of exportTo, who asks, and the subsets found.
    ["a selector and no exportTo: each stands alone", rule("all", "client", toAll), { app: "x" }, ["s"]],
    ["... also for workloads that are not selected", rule("all", "client", toAll), { app: "y" }, ["a"]],
    [
      "a selector and the same audience: the other is taken in",
      rule("all", "client", `exportTo: ['.'], ${toAll}`),
      { app: "x" },
      ["s", "a"],
    ],
    [
      "... and is no longer found by others, as in Istio",
      rule("all", "client", `exportTo: ['.'], ${toAll}`),
      { app: "y" },
      [],
    ],
    [
      "a selector and a wider audience: the other is taken in and stands alone",
      rule("all", "client", `exportTo: ['.', third], ${toAll}`),
      { app: "x" },
      ["s", "a"],
    ],
    ["... for others", rule("all", "client", `exportTo: ['.', third], ${toAll}`), { app: "y" }, ["a"]],
  ])("%s", (_, yaml, labels, expected) => {
    const found = find(yaml + rule("some", "client", some), { labels });
    expect((found?.spec.subsets ?? []).map(({ name }) => name)).toEqual(expected);
  });

  it("takes a rule into one of a narrower audience, and asks only that one's exportTo", () => {
    const yaml =
      rule("a1", "svc", "exportTo: [client], subsets: [{name: v1}]") +
      rule("a2", "svc", "exportTo: [client, third], subsets: [{name: v2}]");
    expect(find(yaml)?.spec.subsets?.map(({ name }) => name)).toEqual(["v1", "v2"]);
    expect(find(yaml, { namespace: "third" })).toBeUndefined();
  });

  it("gives the same object as long as its rules stay the same", () => {
    const { services, destinationRules, mesh } = buildMesh(service + rule("s", "svc") + rule("t", "svc")).current;
    const [target] = services.all;
    if (target === undefined) throw new Error("no service");
    const options = { rootNamespace: mesh.rootNamespace, defaultExportTo: ["*"] };
    const client = { namespace: "client", labels: {}, direction: "outbound" as const };
    const first = findDestinationRule(destinationRules, target, { client, options });
    expect(first).toBeDefined();
    expect(findDestinationRule([...destinationRules], target, { client, options })).toBe(first);
  });
});
