import { expect, it } from "vitest";
import { evaluateMtls, inferNamespaceMtls, type MtlsPolicy, modeOfPort } from "./mtls.ts";

const policy = (namespace: string, name: string, spec: MtlsPolicy["spec"], creationTimestamp = "2026"): MtlsPolicy => ({
  meta: { name, namespace, labels: {}, annotations: {}, creationTimestamp },
  spec,
});
const strict = { mtls: { mode: "STRICT" } } as const;
const disabled = { mtls: { mode: "DISABLE" } } as const;
const unset = { mtls: { mode: "UNSET" } } as const;
const ofA = { selector: { matchLabels: { app: "a" } } };
const ports = { portLevelMtls: { "80": { mode: "DISABLE" }, "81": { mode: "UNSET" } } } as const;

it.each([
  ["nothing", [], "PERMISSIVE", "PERMISSIVE"],
  ["the mesh", [policy("root", "m", strict)], "STRICT", "STRICT"],
  ["another namespace", [policy("other", "n", strict)], "PERMISSIVE", "PERMISSIVE"],
  ["the namespace over the mesh", [policy("root", "m", strict), policy("ns", "n", disabled)], "DISABLE", "DISABLE"],
  ["an unset namespace", [policy("root", "m", strict), policy("ns", "n", unset)], "STRICT", "STRICT"],
  ["an empty namespace", [policy("root", "m", strict), policy("ns", "n", {})], "STRICT", "STRICT"],
  [
    "the workload over the namespace",
    [policy("ns", "n", strict), policy("ns", "w", { ...ofA, ...disabled })],
    "DISABLE",
    "DISABLE",
  ],
  [
    "another workload",
    [policy("ns", "w", { selector: { matchLabels: { app: "b" } }, ...strict })],
    "PERMISSIVE",
    "PERMISSIVE",
  ],
  [
    "the oldest of a level",
    [policy("ns", "x", disabled, "2026"), policy("ns", "y", strict, "2025")],
    "STRICT",
    "STRICT",
  ],
  ["the first by name of equal age", [policy("ns", "y", disabled), policy("ns", "x", strict)], "STRICT", "STRICT"],
  ["a port of the workload", [policy("ns", "w", { ...ofA, ...strict, ...ports })], "STRICT", "DISABLE"],
  [
    "a port of a general policy, which does not count",
    [policy("ns", "n", { ...strict, ...ports })],
    "STRICT",
    "STRICT",
  ],
  ["no selector of the root namespace", [policy("root", "w", { ...ofA, ...strict })], "PERMISSIVE", "PERMISSIVE"],
])("follows %s", (_, policies, mode, modeOf80) => {
  const modes = evaluateMtls(policies, { namespace: "ns", labels: { app: "a" }, rootNamespace: "root" });
  expect(modes.mode).toBe(mode);
  expect(modeOfPort(modes, 80)).toBe(modeOf80);
  expect(modeOfPort(modes, 81)).toBe(mode);
});

it("selects nothing in the root namespace, not even a workload of it", () => {
  const policies = [policy("root", "m", strict), policy("root", "w", { ...ofA, ...disabled, ...ports })];
  const modes = evaluateMtls(policies, { namespace: "root", labels: { app: "a" }, rootNamespace: "root" });
  expect(modes.mode).toBe("STRICT");
  expect(modeOfPort(modes, 80)).toBe("STRICT");
});

it("names the policies that were read, the widest first", () => {
  const policies = [policy("ns", "w", ofA), policy("ns", "n", {}), policy("ns", "o", {}), policy("root", "m", strict)];
  const modes = evaluateMtls(policies, { namespace: "ns", labels: { app: "a" }, rootNamespace: "root" });
  expect(modes.policies.map(({ meta }) => meta.name)).toEqual(["m", "n", "w"]);
});

it.each([
  ["of single workloads", [policy("root", "m", strict), policy("ns", "w", { ...ofA, ...disabled })], "STRICT"],
  ["of the namespace", [policy("root", "m", strict), policy("ns", "n", disabled)], "DISABLE"],
  ["of a namespace that says nothing", [policy("root", "m", strict), policy("ns", "n", unset)], "STRICT"],
  ["of nobody", [], "PERMISSIVE"],
])("tells clients of a service what policies %s mean for a namespace", (_, policies, mode) => {
  expect(inferNamespaceMtls(policies, { namespace: "ns", rootNamespace: "root" })).toBe(mode);
});

it("counts a policy of the root namespace once for workloads of that namespace", () => {
  const modes = evaluateMtls([policy("root", "m", strict)], { namespace: "root", labels: {}, rootNamespace: "root" });
  expect(modes.policies.map(({ meta }) => meta.name)).toEqual(["m"]);
});
