import { describe, expect, it } from "vitest";
import { parseInjectPath } from "./inject-path.ts";
import { supportsNativeSidecars } from "./native-sidecars.ts";
import { deriveProxyIds } from "./proxy-ids.ts";
import { isSameQuantity, parseQuantity } from "./quantity.ts";

describe("paths of the webhook", () => {
  it.each([
    ["/inject", {}],
    ["/inject/", {}],
    ["/inject/cluster/a/net/b/", { ISTIO_META_CLUSTER_ID: "a", ISTIO_META_NETWORK: "b" }],
    ["/inject/cluster/a--slash--b/istio_x/1", { ISTIO_META_CLUSTER_ID: "a/b", ISTIO_X: "1" }],
    ["/inject/cluster", {}],
    ["/inject/cluster/a/odd", { ISTIO_META_CLUSTER_ID: "a" }],
    ["/inject/:ENV:cluster=a=b:ENV:net=:ENV:=c", { ISTIO_META_CLUSTER_ID: "a=b", ISTIO_META_NETWORK: "" }],
    ["/inject/a b/c", {}],
  ])("%s", (path, environment) => {
    expect(Object.fromEntries(parseInjectPath(path))).toEqual(environment);
  });
});

describe("native sidecars", () => {
  it.each([
    ["auto", [], true],
    ["auto", ["v1.33.0", "v1.34.2+k3s1"], true],
    ["auto", ["v1.33.0", "v1.32.9"], false],
    ["auto", ["unknown"], false],
    ["true", ["v1.20.0"], true],
    ["false", ["v1.40.0"], false],
  ] as const)("%s with %j is %s", (mode, versions, supported) => {
    expect(supportsNativeSidecars(mode, versions)).toBe(supported);
  });
});

describe("ids of the proxy on OpenShift", () => {
  it.each([
    [{}, { uid: 1337, gid: 1337 }],
    [{ "openshift.io/sa.scc.uid-range": "1000/10" }, { uid: 1009, gid: 1009 }],
    [
      { "openshift.io/sa.scc.uid-range": "1000-2000", "openshift.io/sa.scc.supplemental-groups": "5/6,100/1" },
      { uid: 2000, gid: 10 },
    ],
    [{ "openshift.io/sa.scc.uid-range": "many" }, { uid: 1337, gid: 1337 }],
  ])("%j", (annotations, ids) => {
    expect(deriveProxyIds(annotations)).toEqual(ids);
  });
});

describe("quantities", () => {
  it.each([
    ["100m", 0.1],
    ["1Gi", 2 ** 30],
    ["1e3", 1000],
    [".5", 0.5],
    ["-1", -1],
    ["1 Gi", undefined],
    ["1m\n", undefined],
    ["", undefined],
  ])("%j", (text, amount) => {
    expect(parseQuantity(text)).toBe(amount);
  });

  it("are the same in other words", () => {
    expect(isSameQuantity("2000m", "2")).toBe(true);
    expect(isSameQuantity("1024Mi", "1Gi")).toBe(true);
    expect(isSameQuantity("x", "x")).toBe(false);
  });
});
