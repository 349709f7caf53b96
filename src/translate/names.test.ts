import { describe, expect, it } from "vitest";
import {
  buildDnsSrvClusterName,
  buildGatewayHttpRouteName,
  buildGatewayHttpsRouteName,
  buildInboundClusterName,
  buildListenerName,
  buildOutboundClusterName,
  parseClusterName,
  parseGrpcInboundListenerName,
  parseHostPort,
  parseOutboundRouteName,
} from "./names.ts";

describe("cluster names", () => {
  it.each([
    [
      "outbound|80|v1|a.b.svc.cluster.local",
      { direction: "outbound", port: 80, subset: "v1", hostname: "a.b.svc.cluster.local", dnsSrv: false },
    ],
    [
      "outbound|443||*.wild.example.com",
      { direction: "outbound", port: 443, subset: "", hostname: "*.wild.example.com", dnsSrv: false },
    ],
    ["inbound|9080||", { direction: "inbound", port: 9080, subset: "", hostname: "", dnsSrv: false }],
    ["outbound_.80_._.a.example", { direction: "outbound", port: 80, subset: "", hostname: "a.example", dnsSrv: true }],
    [
      "outbound_.80_.v_1_.a.example",
      { direction: "outbound", port: 80, subset: "v_1", hostname: "a.example", dnsSrv: true },
    ],
  ])("parses %s", (name, expected) => expect(parseClusterName(name)).toEqual(expected));

  it.each(["BlackHoleCluster", "outbound|http||a", "outbound|80|v1", "", "sideways|80||a", "outbound|||a"])(
    "refuses %j",
    (name) => expect(parseClusterName(name)).toBeUndefined(),
  );

  it("builds what it parses", () => {
    expect(buildOutboundClusterName("a.example", 80, "v1")).toBe("outbound|80|v1|a.example");
    expect(buildDnsSrvClusterName("a.example", 80)).toBe("outbound_.80_._.a.example");
    expect(buildInboundClusterName(9080)).toBe("inbound|9080||");
  });
});

describe("listener and route names", () => {
  it("names listeners after address and port", () => {
    expect(buildListenerName("::", 80)).toBe("::_80");
  });

  it.each([
    ["80", { kind: "port", port: 80 }],
    ["a.example:80", { kind: "service", hostname: "a.example", port: 80 }],
    ["http_proxy", { kind: "httpProxy" }],
    ["unix:///tmp/a", { kind: "socket", path: "/tmp/a" }],
    ["what", undefined],
    ["a:b", undefined],
  ])("parses the outbound route name %s", (name, expected) => expect(parseOutboundRouteName(name)).toEqual(expected));

  it("names gateway routes with the address where one is bound", () => {
    const server = { portName: "https", gatewayName: "g", gatewayNamespace: "n" };
    expect(buildGatewayHttpRouteName(80)).toBe("http.80");
    expect(buildGatewayHttpRouteName(80, "1.2.3.4")).toBe("http.80.1.2.3.4");
    expect(buildGatewayHttpsRouteName(443, server)).toBe("https.443.https.g.n");
  });

  it("names listeners of gRPC servers", () => {
    expect(parseGrpcInboundListenerName("xds.istio.io/grpc/lds/inbound/10.0.0.1:7070")).toEqual({
      address: "10.0.0.1",
      port: 7070,
    });
    expect(parseGrpcInboundListenerName("a.example:80")).toBeUndefined();
    expect(parseHostPort("[::1]:80")).toEqual({ hostname: "::1", port: 80 });
  });
});
