import { describe, expect, it } from "vitest";
import { parseNode } from "./node.ts";

const id = "sidecar~10.0.0.1~a-x.ns~ns.svc.cluster.local";

describe("parseNode", () => {
  it("reads the id and metadata", () => {
    const node = parseNode({
      id,
      metadata: {
        NAMESPACE: "other",
        CLUSTER_ID: "c1",
        MESH_ID: "m",
        LABELS: { app: "a", n: 1, bad: {} },
        SERVICE_ACCOUNT: "sa",
        ISTIO_VERSION: "1.31.2-rc.0",
        INTERCEPTION_MODE: "TPROXY",
        INSTANCE_IPS: "10.0.0.2, fd00::1,nonsense",
        HTTP_PROXY_PORT: "15002",
        HTTP10: "1",
        DNS_CAPTURE: "true",
        DNS_AUTO_ALLOCATE: "false",
        UNPRIVILEGED_POD: "true",
        IDLE_TIMEOUT: "1m30s",
        NODE_NAME: "n1",
      },
      locality: { region: "r", zone: "z" },
      user_agent_name: "envoy",
      user_agent_build_version: { version: { major_number: 1, minor_number: 36, patch: 2 } },
      extensions: [{ name: "b" }, { name: "a" }],
    });
    expect(node).toMatchObject({
      id: "a-x.ns",
      nodeId: id,
      type: "sidecar",
      addresses: ["10.0.0.2", "fd00::1"],
      namespace: "other",
      dnsDomain: "ns.svc.cluster.local",
      labels: { app: "a", n: "1" },
      serviceAccount: "sa",
      clusterId: "c1",
      meshId: "m",
      istioVersion: { major: 1, minor: 31, patch: 2 },
      interceptionMode: "TPROXY",
      httpProxyPort: 15002,
      acceptHttp10: true,
      privileged: false,
      dnsCapture: true,
      dnsAutoAllocate: false,
      idleTimeoutMs: 90_000,
      nodeName: "n1",
      locality: { region: "r", zone: "z", subzone: "" },
      extensions: new Set(["a", "b"]),
      userAgent: "envoy/1.36.2",
    });
  });
});

describe("parseNode of a poor node", () => {
  it("fills in what is missing", () => {
    expect(parseNode({ id, metadata: { LABELS: { "istio-locality": "r1.z1" } }, extensions: [] })).toMatchObject({
      addresses: ["10.0.0.1"],
      namespace: "ns",
      interceptionMode: "REDIRECT",
      privileged: true,
      extensions: undefined,
      istioVersion: undefined,
      httpProxyPort: undefined,
      generator: undefined,
      idleTimeoutMs: undefined,
      locality: { region: "r1", zone: "z1", subzone: "" },
    });
  });

  it.each([
    [{}, /missing node id/],
    [{ id: "" }, /missing node id/],
    [{ id: "sidecar~10.0.0.1~a.ns" }, /must have 4 parts/],
    [{ id: `${id}~more` }, /must have 4 parts/],
    [{ id: "ztunnel~10.0.0.1~a.ns~ns.svc.cluster.local" }, /type "ztunnel"/],
    [{ id: "sidecar~10.0.0.1~~ns.svc.cluster.local" }, /has no name/],
    [{ id: "sidecar~~a.ns~ns.svc.cluster.local" }, /no valid IP address/],
    [{ id: "sidecar~10.0.0.999~a.ns~x", metadata: { INSTANCE_IPS: "a,b" } }, /no valid IP address/],
    [{ id: "sidecar~10.0.0.1~a.ns~" }, /no namespace/],
  ])("says what is wrong with %j", (node, expected) => {
    expect(parseNode(node)).toMatch(expected);
  });

  it.each([
    [
      {
        id,
        metadata: {
          LABELS: "text",
          INSTANCE_IPS: 5,
          HTTP_PROXY_PORT: "99999",
          IDLE_TIMEOUT: "soon",
          ISTIO_VERSION: "x",
        },
      },
    ],
    [{ id, metadata: null, locality: null, extensions: null }],
  ])("reads past metadata of the wrong shape: %j", (node) => {
    expect(parseNode(node)).toMatchObject({ labels: {}, httpProxyPort: undefined, idleTimeoutMs: undefined });
  });

  it.each([
    ["0s", 0],
    ["0", 0],
    ["1h0.5s", 3_600_500],
    ["250us", 0.25],
    ["-1s", undefined],
    ["5", undefined],
  ])("reads the idle timeout %s as %s ms", (text, expected) => {
    expect(parseNode({ id, metadata: { IDLE_TIMEOUT: text } })).toMatchObject({ idleTimeoutMs: expected });
  });

  it("accepts HTTP/1.0 for the text 1 alone, as Istio does", () => {
    expect(parseNode({ id, metadata: { HTTP10: "1" } })).toMatchObject({ acceptHttp10: true });
    expect(parseNode({ id, metadata: { HTTP10: "true" } })).toMatchObject({ acceptHttp10: false });
  });
});
