import { describe, expect, it } from "vitest";
import type { PeerAuthentication } from "../../api/peer-authentication/schema.ts";
import { peerAuthentication, snapshotOf } from "../clusters/test-workloads.ts";
import { findPortMtlsMode, findWorkloadMtls, inferNamespaceMtlsMode } from "./peer-authentication.ts";

const app = { selector: { matchLabels: { app: "a" } } };
const ofMesh = (mode: "STRICT" | "DISABLE" | "UNSET") => peerAuthentication("istio-system", "mesh", { mtls: { mode } });
const ofNamespace = (mode: "STRICT" | "DISABLE" | "UNSET", name = "n") =>
  peerAuthentication("shop", name, { mtls: { mode } });

describe("a workload", () => {
  it.each<[string, readonly PeerAuthentication[], string, string]>([
    ["nothing", [], "PERMISSIVE", "PERMISSIVE"],
    ["the mesh", [ofMesh("STRICT")], "STRICT", "STRICT"],
    ["the namespace before the mesh", [ofMesh("STRICT"), ofNamespace("DISABLE")], "DISABLE", "DISABLE"],
    ["the mesh where the namespace is UNSET", [ofMesh("STRICT"), ofNamespace("UNSET")], "STRICT", "STRICT"],
    [
      "the first by name of two of the same age",
      [ofNamespace("STRICT", "b"), ofNamespace("DISABLE", "a")],
      "DISABLE",
      "DISABLE",
    ],
    [
      "the workload before the namespace",
      [ofNamespace("STRICT"), peerAuthentication("shop", "w", { ...app, mtls: { mode: "DISABLE" } })],
      "DISABLE",
      "DISABLE",
    ],
    [
      "the port before the workload",
      [
        peerAuthentication("shop", "w", {
          ...app,
          mtls: { mode: "STRICT" },
          portLevelMtls: { 80: { mode: "DISABLE" } },
        }),
      ],
      "STRICT",
      "DISABLE",
    ],
    [
      "the workload where the port is UNSET",
      [peerAuthentication("shop", "w", { ...app, mtls: { mode: "STRICT" }, portLevelMtls: { 80: { mode: "UNSET" } } })],
      "STRICT",
      "STRICT",
    ],
    [
      "nobody whose selector does not fit",
      [peerAuthentication("shop", "w", { selector: { matchLabels: { app: "b" } }, mtls: { mode: "STRICT" } })],
      "PERMISSIVE",
      "PERMISSIVE",
    ],
    [
      "no selector of the root namespace",
      [peerAuthentication("istio-system", "w", { ...app, mtls: { mode: "STRICT" } })],
      "PERMISSIVE",
      "PERMISSIVE",
    ],
  ])("goes by %s", (_case, policies, mode, modeOfPort80) => {
    const mtls = findWorkloadMtls(snapshotOf(policies), "shop", { app: "a" });
    expect(mtls.mode).toBe(mode);
    expect(findPortMtlsMode(mtls, 80)).toBe(modeOfPort80);
    expect(findPortMtlsMode(mtls, 81)).toBe(mode);
  });
});

it("tells clients of a service what namespace and mesh say, not what single workloads do", () => {
  const snapshot = snapshotOf([
    ofMesh("STRICT"),
    peerAuthentication("shop", "w", { ...app, mtls: { mode: "DISABLE" } }),
  ]);
  expect(inferNamespaceMtlsMode(snapshot, "shop")).toBe("STRICT");
});
