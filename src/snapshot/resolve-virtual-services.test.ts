import { describe, expect, it } from "vitest";
import { buildMesh, parseMeshObjects, setObjects } from "../../test/support/mesh-objects.ts";

const rule = (name: string, spec: string, namespace = "ns"): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: ${namespace}}
spec: {${spec}}
---
`;
const to = (host: string): string => `route: [{destination: {host: ${host}}}]`;

describe("a virtual service", () => {
  it("gets full names of hosts, destinations and gateways", () => {
    const [resolved] = buildMesh(
      rule(
        "v",
        `hosts: [a, x.test, '*.example'], gateways: [gw, other/gw, old.ns2.svc.cluster.local, mesh],
         http: [{match: [{gateways: [gw]}], ${to("a")}, mirrors: [{destination: {host: b}}]}], tcp: [{${to("c")}}]`,
      ),
    ).current.virtualServices;
    expect(resolved?.hosts).toEqual(["a.ns.svc.cluster.local", "x.test", "*.example"]);
    expect(resolved?.gateways).toEqual(["ns/gw", "other/gw", "ns2/old", "mesh"]);
    expect(resolved?.spec.http).toEqual([
      {
        match: [{ gateways: ["ns/gw"] }],
        route: [{ destination: { host: "a.ns.svc.cluster.local" } }],
        mirrors: [{ destination: { host: "b.ns.svc.cluster.local" } }],
      },
    ]);
    expect(resolved?.spec.tcp).toEqual([{ route: [{ destination: { host: "c.ns.svc.cluster.local" } }] }]);
  });

  it("is for sidecars where it names no gateway, and stands under each gateway that it names", () => {
    const { virtualServicesByGateway } = buildMesh(
      rule("v", `hosts: [a.example], http: [{${to("a")}}]`) +
        rule("w", `hosts: [b.example], gateways: [g, mesh], http: [{${to("a")}}]`),
    ).current;
    const names = (gateway: string) => virtualServicesByGateway.get(gateway)?.map(({ object }) => object.meta.name);
    expect([names("mesh"), names("ns/g")]).toEqual([["v", "w"], ["w"]]);
  });
});

const root = (fields: string, match = "[{uri: {prefix: /d}}]"): string =>
  rule(
    "root",
    `hosts: [a.example], http: [{name: r, match: ${match}, ${fields}, delegate: {name: d, namespace: other}}]`,
  );
const routes = (yaml: string) => buildMesh(yaml).current.virtualServices[0]?.spec.http;

describe("what a delegate lends its root", () => {
  it("are routes, which take from the root what they do not say", () => {
    const delegate = rule(
      "d",
      `http: [{name: x, match: [{uri: {exact: /d/1}, headers: {h: {exact: v}}}], timeout: 1s, ${to("b")}}, {${to("c")}}]`,
      "other",
    );
    expect(routes(root("timeout: 5s, retries: {attempts: 2}") + delegate)).toEqual([
      {
        name: "r-x",
        match: [{ uri: { exact: "/d/1" }, headers: { h: { exact: "v" } } }],
        timeout: "1s",
        retries: { attempts: 2 },
        route: [{ destination: { host: "b.other.svc.cluster.local" } }],
      },
      {
        name: "r",
        match: [{ uri: { prefix: "/d" } }],
        timeout: "5s",
        retries: { attempts: 2 },
        route: [{ destination: { host: "c.other.svc.cluster.local" } }],
      },
    ]);
  });

  it.each([
    ["[{uri: {prefix: /d}}]", "{uri: {prefix: /d/e}}", true],
    ["[{uri: {prefix: /d}}]", "{uri: {prefix: /other}}", false],
    ["[{uri: {prefix: /d}}]", "{uri: {exact: /d/e}}", true],
    ["[{uri: {prefix: /d/e}}]", "{uri: {prefix: /d}}", false],
    ["[{uri: {exact: /d}}]", "{uri: {prefix: /d}}", false],
    ["[{uri: {exact: /d}}]", "{uri: {exact: /d}}", true],
    ["[{uri: {regex: /d}}]", "{uri: {exact: /d}}", false],
    ["[{method: {exact: GET}}]", "{uri: {prefix: /x}}", true],
    ["[{headers: {h: {exact: a}}}]", "{headers: {h: {exact: b}}}", false],
    ["[{headers: {h: {exact: a}}}]", "{headers: {i: {exact: b}}}", true],
    ["[{queryParams: {q: {exact: a}}}]", "{queryParams: {q: {exact: b}}}", false],
    ["[{headers: {h: {}}}]", "{headers: {h: {exact: b}}}", false],
    ["[{headers: {h: {prefix: b}}}]", "{headers: {h: {}}}", false],
    ["[{port: 80}]", "{port: 81}", false],
    ["[{port: 80}]", "{port: 0}", true],
    ["[{uri: {prefix: /d}}]", "{uri: {exact: /d/e}, ignoreUriCase: true}", false],
    ["[{withoutHeaders: {h: {exact: a}}}]", "{withoutHeaders: {h: {exact: b}}}", false],
    ["[{sourceNamespace: a}]", "{uri: {prefix: /x}}", false],
    ["[{sourceNamespace: a}]", "{sourceNamespace: a}", true],
    ["[{sourceLabels: {l: a}}]", "{sourceLabels: {l: b}}", false],
    ["[{sourceLabels: {l: a}}]", "{sourceLabels: {m: b}}", true],
    ["[{gateways: [g, mesh]}]", "{gateways: [mesh]}", true],
    ["[{gateways: [ns/g]}]", "{gateways: [mesh]}", false],
    ["[{uri: {prefix: /a}}, {uri: {prefix: /b}}]", "{uri: {prefix: /b/c}}", true],
  ])("under %s with the match %s counts: %s", (match, inner, counts) => {
    const delegate = rule("d", `http: [{match: [${inner}], ${to("b")}}]`, "other");
    expect(routes(root("timeout: 5s", match) + delegate)).toHaveLength(counts ? 1 : 0);
  });

  it("leaves in place what the root says where it says nothing itself", () => {
    const match = "[{port: 80, gateways: [g], sourceLabels: {l: a}, statPrefix: s, name: m}]";
    const inner = "{port: 0, gateways: [], sourceLabels: {k: b}, sourceNamespace: '', statPrefix: '', name: n}";
    const delegate = rule("d", `http: [{match: [${inner}], ${to("b")}}]`, "other");
    expect(routes(root("timeout: 5s", match) + delegate)?.[0]?.match).toEqual([
      { name: "m-n", port: 80, gateways: ["ns/g"], sourceLabels: { l: "a", k: "b" }, statPrefix: "s" },
    ]);
  });
});

describe("a delegate", () => {
  it("is none of what stands for an Ingress", () => {
    const converted = root("timeout: 5s").replace(
      "namespace: ns}",
      "namespace: ns, annotations: {internal.istio.io/route-semantics: ingress}}",
    );
    const [route] = routes(converted + rule("d", `http: [{${to("b")}}]`, "other")) ?? [];
    expect(route?.route).toBeUndefined();
  });

  it("is reported where it is hidden, and where its routes reach outside of the root's", () => {
    const codesOf = (yaml: string) =>
      buildMesh(yaml).current.messages.flatMap(({ code, path }) => (code?.includes("delegate") ? [[code, path]] : []));
    const inner = `http: [{match: [{uri: {prefix: /x}}], ${to("b")}}, {${to("b")}}]`;
    expect(codesOf(root("timeout: 5s") + rule("d", `exportTo: ['.'], ${inner}`, "other"))).toEqual([
      ["hidden-delegate", "spec.http[0].delegate"],
    ]);
    expect(codesOf(root("timeout: 5s") + rule("d", inner, "other"))).toEqual([
      ["delegate-conflict", "spec.http[0].delegate"],
    ]);
  });

  it("is left out where it is missing, not exported, or a rule with hosts of its own", () => {
    const route = `http: [{${to("b")}}]`;
    expect(routes(root("timeout: 5s"))).toEqual([]);
    expect(routes(root("timeout: 5s") + rule("d", `exportTo: ['.'], ${route}`, "other"))).toEqual([]);
    expect(routes(root("timeout: 5s") + rule("d", `exportTo: [ns], ${route}`, "other"))).toHaveLength(1);
    expect(buildMesh(root("timeout: 5s")).current.messages.map(({ code, path }) => [code, path])).toEqual([
      ["unknown-delegate", "spec.http[0].delegate"],
    ]);
  });

  it("makes its root anew when it changes, and no other rule", () => {
    const builder = buildMesh(
      root("timeout: 5s") +
        rule("d", `http: [{${to("b")}}]`, "other") +
        rule("z", `hosts: [z.example], http: [{${to("b")}}]`),
    );
    const [before, zBefore] = builder.current.virtualServices;
    builder.apply(setObjects(parseMeshObjects(rule("d", `http: [{${to("c")}}]`, "other"))));
    const [after, zAfter] = builder.current.virtualServices;
    expect(after).not.toBe(before);
    expect(after?.sources.map((ref) => ref.name)).toEqual(["root", "d"]);
    expect(zAfter).toBe(zBefore);
  });
});
