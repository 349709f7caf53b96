import { describe, expect, it } from "vitest";
import { buildMesh, parseMeshObjects, setObjects } from "../../../test/support/mesh-objects.ts";
import { parseNode } from "../../model/node.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { ScopeView } from "../scope.ts";
import { createScopeView } from "./create-scope-view.ts";
import { deriveKeys } from "./derive-keys.ts";

const service = (
  name: string,
  namespace: string,
  exportTo = "*",
  ports = "[{name: http, port: 80}, {name: tcp, port: 90}]",
): string => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}, annotations: {networking.istio.io/exportTo: "${exportTo}"}}
spec: {clusterIP: 10.96.0.1, ports: ${ports}}
---
`;
const entry = (name: string, namespace: string, host: string, time: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "${time}"}
spec: {hosts: [${host}], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
---
`;
const sidecar = (name: string, namespace: string, spec: string): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: ${name}, namespace: ${namespace}}
spec: {${spec}}
---
`;
const rule = (name: string, namespace: string, spec: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: ${namespace}}
spec: {${spec}}
---
`;

function view(
  snapshot: Snapshot,
  namespace = "ns",
  { type = "sidecar", labels = {} }: { type?: string; labels?: Record<string, string> } = {},
): ScopeView {
  const proxy = parseNode({
    id: `${type}~10.0.0.1~x.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { LABELS: labels },
  });
  if (typeof proxy === "string") throw new Error(proxy);
  return createScopeView(snapshot, deriveKeys(snapshot, proxy).scope);
}
const keysOf = (scope: ScopeView): readonly string[] =>
  scope.services.map(({ name, namespace }) => `${namespace}/${name}`);

describe("the services of a scope", () => {
  it("are those that its namespace may see", () => {
    const { current } = buildMesh(
      service("a", "ns", ".") +
        service("b", "other", ".") +
        service("c", "other", "ns") +
        service("d", "other", "~") +
        service("e", "other"),
    );
    expect(keysOf(view(current))).toEqual(["ns/a", "other/c", "other/e"]);
    expect(keysOf(view(current, "third"))).toEqual(["other/e"]);
    expect(keysOf(view(current, "third", { type: "router" }))).toEqual(["other/e"]);
  });

  it("are one for each hostname: of the own namespace, of Kubernetes, the oldest", () => {
    const host = "k.other.svc.cluster.local";
    const { current } = buildMesh(
      entry("one", "a1", "x.example", "2026-01-02T00:00:00Z") +
        entry("two", "a2", "x.example", "2026-01-01T00:00:00Z") +
        entry("own", "ns", "x.example", "2026-01-03T00:00:00Z") +
        entry("squat", "a1", host, "2020-01-01T00:00:00Z") +
        service("k", "other"),
    );
    expect(view(current).findService("x.example")?.namespace).toBe("ns");
    expect(view(current, "third").findService("x.example")?.namespace).toBe("a2");
    expect(view(current, "third").findService(host)?.registry).toBe("Kubernetes");
    expect(view(current, "a1").findService(host)?.namespace).toBe("a1");
  });

  it("are those private to the namespace first, then those exported to it, then those of everyone", () => {
    const { current } = buildMesh(
      service("a", "ns") + service("b", "other", "ns") + service("c", "ns", ".") + service("d", "other"),
    );
    expect(keysOf(view(current))).toEqual(["ns/c", "other/b", "ns/a", "other/d"]);
    const own = buildMesh(
      service("a", "ns") +
        service("b", "other", "ns") +
        service("c", "ns", ".") +
        sidecar("s", "ns", "egress: [{hosts: ['*/*']}]"),
    );
    expect(view(own.current).egressListeners[0]?.services.map(({ name }) => name)).toEqual(["c", "b", "a"]);
  });

  it("are also those of the own namespace that it does not see, where one of its rules leads there", () => {
    const hidden = service("a", "ns") + service("h", "ns", "~") + service("i", "ns", "~");
    const { current } = buildMesh(
      hidden + rule("v", "ns", "hosts: [a], http: [{route: [{destination: {host: h, port: {number: 90}}}]}]"),
    );
    expect(keysOf(view(current))).toEqual(["ns/a", "ns/h"]);
    expect(
      view(current)
        .findService("h.ns.svc.cluster.local")
        ?.ports.map(({ number }) => number),
    ).toEqual([90]);
    expect(view(current).egressListeners[0]?.services.map(({ name }) => name)).toEqual(["a"]);
  });

  it("are the very same list for all namespaces without special cases", () => {
    const { current } = buildMesh(service("a", "ns") + service("b", "other") + service("c", "third", "."));
    expect(view(current, "ns").services).toBe(view(current, "other").services);
    expect(view(current, "third").services).not.toBe(view(current, "ns").services);
  });
});

const mesh =
  service("a", "ns") + service("b", "ns") + service("a", "other") + service("c", "other", ".") + service("d", "third");

describe("a Sidecar", () => {
  it.each([
    ["egress: [{hosts: ['*/*']}]", ["ns/a", "other/a", "ns/b", "third/d"]],
    ["egress: [{hosts: ['./*']}]", ["ns/a", "ns/b"]],
    ["egress: [{hosts: ['other/*']}]", ["other/a"]],
    ["egress: [{hosts: ['*/a.ns.svc.cluster.local']}]", ["ns/a"]],
    ["egress: [{hosts: ['*/*.other.svc.cluster.local', 'third/*']}]", ["other/a", "third/d"]],
    ["egress: [{hosts: ['~/*']}]", []],
    ["egress: [{hosts: ['*/*', '~other/*']}]", ["ns/a", "ns/b", "third/d"]],
    ["egress: [{hosts: ['./*', '~./b.ns.svc.cluster.local']}]", ["ns/a"]],
    [
      "ingress: [{port: {number: 80, protocol: HTTP, name: http}, defaultEndpoint: '127.0.0.1:80'}]",
      ["ns/a", "other/a", "ns/b", "third/d"],
    ],
  ])("with {%s} imports %j", (spec, expected) => {
    expect([...keysOf(view(buildMesh(mesh + sidecar("s", "ns", spec)).current))].sort()).toEqual([...expected].sort());
  });

  it("narrows services to the port of a listener, and adds up what several import", () => {
    const spec = `egress:
    - {port: {number: 80, protocol: HTTP, name: http}, hosts: ['./a.ns.svc.cluster.local', 'third/*']}
    - {port: {number: 90, protocol: TCP, name: tcp}, hosts: ['./a.ns.svc.cluster.local']}
    - {port: {number: 7000, protocol: HTTP_PROXY, name: proxy}, hosts: ['other/*']}`.replaceAll("\n", "\n  ");
    const scope = view(buildMesh(mesh + sidecar("s", "ns", "").replace("{}", `\n  ${spec}`)).current);
    expect(scope.egressListeners.map((listener) => listener.services.map((s) => s.ports.map((p) => p.number)))).toEqual(
      [[[80], [80]], [[90]], [[80, 90]]],
    );
    expect(scope.findService("a.ns.svc.cluster.local")?.ports).toHaveLength(2);
    expect(scope.findService("a.ns.svc.cluster.local")).toBe(
      scope.snapshot.services.find("a.ns.svc.cluster.local", "ns"),
    );
    expect(scope.findService("d.third.svc.cluster.local")?.ports).toHaveLength(1);
  });

  it.each([
    ["['third/*']", ["e.ns.svc.cluster.local"]],
    ["['third/d.third.svc.cluster.local', 'ns/*']", []],
    ["['*/*.third.svc.cluster.local']", []],
  ])("with hosts %s imports of the service in it the aliases %j", (hosts, expected) => {
    const alias = `
apiVersion: v1
kind: Service
metadata: {name: e, namespace: ns}
spec: {type: ExternalName, externalName: d.third.svc.cluster.local, ports: [{name: http, port: 80}]}
---
`;
    const scope = view(buildMesh(mesh + alias + sidecar("s", "ns", `egress: [{hosts: ${hosts}}]`)).current);
    const found = scope.egressListeners[0]?.services.find(({ name }) => name === "d");
    expect(found?.aliases.map(({ hostname }) => hostname)).toEqual(expected);
  });
});

describe("the rules that a Sidecar imports", () => {
  it("bring their destinations", () => {
    const spec = "egress: [{hosts: ['./*']}]";
    const route = "http: [{route: [{destination: {host: d.third.svc.cluster.local}}]}]";
    const imported = rule("v", "ns", `hosts: [a], ${route}`);
    const foreign = rule("w", "other", `hosts: [a.ns.svc.cluster.local], http: [{route: [{destination: {host: a}}]}]`);
    const scope = view(buildMesh(mesh + sidecar("s", "ns", spec) + imported + foreign).current);
    expect(scope.egressListeners[0]?.virtualServices.map(({ object }) => object.meta.name)).toEqual(["v"]);
    expect(keysOf(scope)).toEqual(["ns/a", "ns/b", "third/d"]);
    expect(scope.egressListeners[0]?.services.map(({ name }) => name)).toEqual(["a", "b"]);
  });

  it.each([
    ["the ports that they name", "destination: {host: d.third.svc.cluster.local, port: {number: 90}}", "", [90]],
    ["all ports where one names none", "destination: {host: d.third.svc.cluster.local}", "", [80, 90]],
    [
      "those for its own clients",
      "destination: {host: d.third.svc.cluster.local}",
      "match: [{sourceNamespace: ns}, {sourceNamespace: x}], ",
      [80, 90],
    ],
    ["none for others", "destination: {host: d.third.svc.cluster.local}", "match: [{sourceNamespace: x}], ", undefined],
  ])("bring of such destinations %s", (_, destination, match, expected) => {
    const named = rule("v", "ns", `hosts: [a], http: [{${match}route: [{${destination}}]}]`);
    const scope = view(buildMesh(mesh + sidecar("s", "ns", "egress: [{hosts: ['./*']}]") + named).current);
    expect(scope.findService("d.third.svc.cluster.local")?.ports.map(({ number }) => number)).toEqual(expected);
  });
});

describe("the Sidecar of a workload", () => {
  it("is chosen by selector, then for the namespace, then of the root namespace", () => {
    const selective = sidecar("s1", "ns", "workloadSelector: {labels: {app: x}}, egress: [{hosts: ['~/*']}]");
    const general = sidecar("s2", "ns", "egress: [{hosts: ['./*']}]");
    const root = sidecar(
      "s3",
      "istio-system",
      "egress: [{hosts: ['./*']}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}",
    );
    const { current } = buildMesh(mesh + selective + general + root);
    expect(view(current, "ns", { labels: { app: "x" } }).sidecar?.meta.name).toBe("s1");
    expect(view(current, "ns", { labels: { app: "y" } }).sidecar?.meta.name).toBe("s2");
    const ofRoot = view(current, "other");
    expect([ofRoot.sidecar?.meta.name, ofRoot.outboundTrafficPolicy, keysOf(ofRoot)]).toEqual([
      "s3",
      "REGISTRY_ONLY",
      ["other/a", "other/c"],
    ]);
    expect(view(current, "ns", { type: "router" }).sidecar).toBeUndefined();
    const bare = sidecar("z", "ns", "workloadSelector: {labels: {}}, egress: [{hosts: ['~/*']}]");
    expect(view(buildMesh(mesh + general + bare).current).sidecar?.meta.name).toBe("z");
  });
});

describe("a view of the next snapshot", () => {
  const mesh =
    service("a", "ns") +
    service("b", "other") +
    rule("v", "ns", "hosts: [a], http: [{route: [{destination: {host: a}}]}]");
  const own = sidecar("s", "ns", "egress: [{hosts: ['./*']}]");

  it.each([
    ["the default scope", ""],
    ["a Sidecar", own],
  ])("shares what did not change with %s", (_, extra) => {
    const builder = buildMesh(mesh + extra);
    const before = view(builder.current);
    builder.apply(
      setObjects(
        parseMeshObjects(
          rule("w", "ns", "hosts: [a.example], gateways: [g], http: [{route: [{destination: {host: a}}]}]"),
        ),
      ),
    );
    const after = view(builder.current);
    expect(after).not.toBe(before);
    expect(after.services).toBe(before.services);
    expect(after.egressListeners).toBe(before.egressListeners);
    expect(view(builder.current)).toBe(after);
  });

  it("shares the services of a Sidecar that does not import the one that changed", () => {
    const builder = buildMesh(mesh + own);
    const before = view(builder.current);
    builder.apply(setObjects(parseMeshObjects(service("c", "other"))));
    const after = view(builder.current);
    expect(after.services).toBe(before.services);
    expect(after.egressListeners).toBe(before.egressListeners);
  });
});

describe("a gateway's scope", () => {
  const gateway = (name: string, namespace: string, selector: string): string => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: ${namespace}}
spec: {selector: {${selector}}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
`;

  it("has the Gateways that select it in any namespace, and their visible rules", () => {
    const { current } = buildMesh(
      gateway("one", "ns", "istio: in") +
        gateway("two", "other", "istio: in, tier: x") +
        gateway("three", "gw", "istio: eg") +
        rule("v", "ns", "hosts: [a.example], gateways: [one], http: [{route: [{destination: {host: a}}]}]") +
        rule(
          "w",
          "other",
          "hosts: [b.example], gateways: [ns/one], exportTo: ['.'], http: [{route: [{destination: {host: a}}]}]",
        ),
    );
    const scope = view(current, "gw", { type: "router", labels: { istio: "in", any: "thing" } });
    expect(scope.gateways.map(({ meta }) => meta.name)).toEqual(["one"]);
    expect(scope.listGatewayVirtualServices("ns/one").map(({ object }) => object.meta.name)).toEqual(["v"]);
    expect(scope.listGatewayVirtualServices("ns/none")).toEqual([]);
    expect(scope.egressListeners).toEqual([]);
    const both = view(current, "gw", { type: "router", labels: { istio: "in", tier: "x" } });
    expect(both.gateways.map(({ meta }) => meta.name)).toEqual(["one", "two"]);
    expect(view(current, "gw", { labels: { istio: "in" } }).gateways).toEqual([]);
  });

  it("has rules private to its namespace first, then those exported to it, then those of everyone", () => {
    const bound = (name: string, namespace: string, exportTo: string): string =>
      rule(
        name,
        namespace,
        `hosts: [a.example], gateways: [ns/one], exportTo: [${exportTo}], http: [{route: [{destination: {host: a}}]}]`,
      );
    const rules =
      bound("v1", "ns", "'*'") + bound("v2", "ns", "gw, x") + bound("v3", "gw", "'.'") + bound("v4", "ns", "'.'");
    const { current } = buildMesh(rules + bound("v5", "gw", "x, gw"));
    const scope = view(current, "gw", { type: "router", labels: { istio: "in" } });
    expect(scope.listGatewayVirtualServices("ns/one").map(({ object }) => object.meta.name)).toEqual([
      "v3",
      "v5",
      "v2",
      "v1",
    ]);
  });
});
