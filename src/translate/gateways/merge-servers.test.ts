import { describe, expect, it } from "vitest";
import { gateway, kubePort, kubeService, server } from "../../../test/support/sample-objects.ts";
import { gatewayViewOf } from "../../../test/support/scope-views.ts";
import type { Server } from "../../api/gateway/schema.ts";
import { mergeServers } from "./merge-servers.ts";
import { mergedGatewaysOf } from "./merged-gateways.ts";
import { disablePortTranslationLabel } from "./server-ports.ts";

const options = { ports: new Map([[80, 8080]]), defaultBind: "0.0.0.0", http3Ports: new Set<number>() };
const simple = { tls: { mode: "SIMPLE", credentialName: "cert" } } as const;
const passthrough = { tls: { mode: "PASSTHROUGH" } } as const;
const redirect = { tls: { httpsRedirect: true } } as const;
const merge = (...servers: Server[]) => mergeServers([gateway("gw", servers)], options);

describe("two servers on one port", () => {
  it.each<[string, Server, Server, string | undefined]>([
    ["plain HTTP", server("HTTP 80 a", ["a.com"]), server("HTTP 80 b", ["a.com"]), undefined],
    ["the HTTP family", server("HTTP 80 a", ["a.com"]), server("GRPC 80 b", ["b.com"]), undefined],
    ["TCP behind HTTP", server("HTTP 80 a", ["*"]), server("TCP 80 b", ["*"]), "gateway-port-conflict"],
    ["HTTP behind TCP", server("TCP 80 a", ["*"]), server("HTTP 80 b", ["*"]), "gateway-port-conflict"],
    ["TCP twice", server("TCP 80 a", ["a.com"]), server("TCP 80 b", ["b.com"]), "gateway-port-conflict"],
    ["TCP at another address", server("TCP 80 a", ["*"]), server("HTTP 80 b", ["*"], { bind: "10.0.0.1" }), undefined],
    [
      "TLS of other hosts",
      server("HTTPS 1 a", ["a.com"], simple),
      server("TLS 1 b", ["b.com"], passthrough),
      undefined,
    ],
    [
      "TLS of the same host",
      server("HTTPS 1 a", ["a.com"], simple),
      server("TLS 1 b", ["b.com", "a.com"], passthrough),
      "gateway-duplicate-host",
    ],
    [
      "TLS of the same host for another namespace",
      server("HTTPS 1 a", ["x/a.com"], simple),
      server("HTTPS 1 b", ["y/a.com"], simple),
      "gateway-duplicate-host",
    ],
    [
      "TLS of the same host at another address",
      server("HTTPS 1 a", ["a.com"], simple),
      server("HTTPS 1 b", ["a.com"], { ...simple, bind: "10.0.0.1" }),
      undefined,
    ],
    [
      "HTTPS with the same port name",
      server("HTTPS 1 a", ["a.com"], simple),
      server("HTTPS 1 a", ["b.com"], simple),
      "gateway-duplicate-port-name",
    ],
    [
      "plain text behind TLS",
      server("HTTPS 1 a", ["a.com"], simple),
      server("HTTP 1 b", ["*"]),
      "gateway-port-conflict",
    ],
    [
      "TLS behind plain text",
      server("HTTP 1 a", ["a.com"]),
      server("HTTPS 1 b", ["*"], simple),
      "gateway-port-conflict",
    ],
    [
      "two redirects of one host",
      server("HTTP 80 a", ["a.com"], redirect),
      server("HTTP 80 b", ["a.com"], redirect),
      "gateway-duplicate-host",
    ],
  ])("%s", (_what, first, second, code) => {
    const { listeners, messages } = merge(first, second);
    expect(messages.map((message) => message.code)).toEqual(code === undefined ? [] : [code]);
    expect(listeners.flatMap(({ servers }) => servers.map((merged) => merged.server))).toEqual(
      code === undefined ? [first, second] : [first],
    );
    for (const message of messages) {
      expect(message).toMatchObject({
        level: "error",
        path: "spec.servers[1]",
        object: { kind: "Gateway", namespace: "istio-system", name: "gw" },
      });
    }
  });
});

it("takes nothing of a refused server", () => {
  const refused = server("HTTPS 1 a", ["a.com", "c.com"], simple);
  const later = server("HTTPS 1 c", ["c.com"], simple);
  const { listeners, messages } = merge(server("HTTPS 1 b", ["a.com"], simple), refused, later);
  expect(messages).toHaveLength(1);
  expect(listeners[0]?.servers.map((merged) => merged.server.port.name)).toEqual(["b", "c"]);
});

it("keeps servers of one protocol together", () => {
  const { listeners } = merge(
    server("HTTPS 1 a", ["a.com"], simple),
    server("TLS 1 b", ["b.com"], passthrough),
    server("HTTPS 1 c", ["c.com"], simple),
  );
  expect(listeners[0]?.servers.map((merged) => merged.server.port.name)).toEqual(["a", "c", "b"]);
});

it("merges Gateways in their order and lets an older one keep the port", () => {
  const older = gateway("old", [server("TCP 80 tcp", ["*"])]);
  const { listeners, messages } = mergeServers([older, gateway("new", [server("HTTP 80 http", ["*"])])], options);
  expect(listeners[0]?.servers.map((merged) => merged.gateway)).toEqual(["istio-system/old"]);
  expect(messages[0]?.text).toBe(
    'HTTP cannot share port 8080 of 0.0.0.0 with the TCP server "tcp" of Gateway istio-system/old, which came first',
  );
});

describe("names of route configurations", () => {
  it("have the proxy's port for plain HTTP and the declared one for HTTPS, with the address at the end", () => {
    const { serversByRoute, listeners } = merge(
      server("HTTP 80 a", ["a.com"]),
      server("HTTP 80 b", ["b.com"], { bind: "10.0.0.1" }),
      server("HTTPS 443 c", ["c.com"], simple),
      server("HTTPS 443 d", ["d.com"], { ...simple, bind: "10.0.0.1" }),
      server("HTTPS 443 e", ["e.com"], passthrough),
      server("TLS 443 f", ["f.com"], simple),
      server("HTTPS 8443 g", ["g.com"]),
    );
    expect([...serversByRoute.keys()]).toEqual([
      "http.8080",
      "http.8080.10.0.0.1",
      "https.443.c.gw.istio-system",
      "https.443.d.gw.istio-system.10.0.0.1",
    ]);
    expect(listeners.map(({ name }) => name)).toEqual([
      "0.0.0.0_8080",
      "10.0.0.1_8080",
      "0.0.0.0_443",
      "10.0.0.1_443",
      "0.0.0.0_8443",
    ]);
    // HTTPS without TLS settings is only passed on.
    expect(listeners.at(-1)?.servers[0]?.kind).toBe("tcp");
  });

  it("are one for plain HTTP servers that meet on the proxy's port", () => {
    const { serversByRoute } = merge(server("HTTP 80 a", ["a.com"]), server("HTTP 8080 b", ["b.com"]));
    expect([...serversByRoute].map(([name, servers]) => [name, servers.length])).toEqual([["http.8080", 2]]);
  });
});

describe("ports", () => {
  const target = (name: string, targetPort: number) => ({
    hostname: `${name}.istio-system.svc.cluster.local`,
    namespace: "istio-system",
    port: 80,
    targetPort,
  });
  const front = (name: string, labels: { readonly [name: string]: string }) => {
    const service = kubeService(name, { clusterIP: "10.96.2.1", ports: [kubePort("http", 80)] }, "istio-system");
    return { ...service, meta: { ...service.meta, labels } };
  };
  const http = gateway("gw", [server("HTTP 80 http", ["*"]), server("HTTP 9080 other", ["*"])]);

  it("are those behind the first service in front of the proxy that does not opt out", () => {
    const services = [front("a", { [disablePortTranslationLabel]: "true" }), front("b", {}), front("c", {})];
    const view = gatewayViewOf([http, ...services], {
      key: { targets: [target("a", 1), target("b", 8080), target("c", 8081)] },
    });
    expect(mergedGatewaysOf(view).listeners.map(({ port }) => port)).toEqual([8080, 9080]);
  });

  it("are merged once while Gateways and targets stay the same", () => {
    const view = gatewayViewOf([http]);
    expect(mergedGatewaysOf(view)).toBe(mergedGatewaysOf(view));
    const { gateways } = view;
    expect(gateways).toHaveLength(1);
    expect(mergedGatewaysOf({ ...view, gateways: [...gateways] })).toBe(mergedGatewaysOf(view));
  });
});
