import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { describe, expect, it } from "vitest";
import { buildMesh, parseMeshObjects, setObjects } from "../../../test/support/mesh-objects.ts";
import { describeProxy } from "../../../test/support/translated-mesh.ts";
import { generators } from "../../bootstrap/generators.ts";
import { formatMessage } from "../../lib/message.ts";
import type { Proxy as MeshProxy } from "../../model/proxy.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { listMeshOutcomes } from "./mesh-outcomes.ts";
import { listPatchMessages } from "./patch-outcomes.ts";

const base = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{name: tcp, port: 5432}]}
---
`;

function filter(patches: string, { name = "patch", spec = "" } = {}): string {
  return `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: ${name}, namespace: shop}
spec:
${spec}  configPatches:
${patches}
---
`;
}

function sidecar(labels: { readonly [name: string]: string } = {}, more: object = {}): MeshProxy {
  const app = { app: "web", ...labels };
  const fields = { name: "web", type: "sidecar", address: "10.1.0.1", workload: "web-1", namespace: "shop" } as const;
  return describeProxy({ ...fields, labels: app, istioVersion: "1.31.0", ...more });
}

function viewsOf(snapshot: Snapshot, proxy: MeshProxy) {
  const keys = generators.deriveKeys(snapshot, proxy);
  const scope = generators.createScopeView(snapshot, keys.scope);
  return { keys, scope, workload: generators.createWorkloadView(scope, keys.workload) };
}

function messagesOf(snapshot: Snapshot, ...proxies: readonly MeshProxy[]): readonly string[] {
  return listPatchMessages(listMeshOutcomes(generators, snapshot, proxies)).map(formatMessage);
}

const lua = (name = "lua") =>
  `{name: ${name}, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: "a"}}}`;
const manager = "envoy.filters.network.http_connection_manager";
const beforeRouter = (context: string) =>
  `{context: ${context}, listener: {filterChain: {filter: {name: ${manager}, subFilter: {name: envoy.filters.http.router}}}}}`;
const inbound = `  - {applyTo: HTTP_FILTER, match: ${beforeRouter("SIDECAR_INBOUND")}, patch: {operation: INSERT_BEFORE, value: ${lua()}}}`;

describe("keys", () => {
  it("have nothing of filters where none is for the proxy", () => {
    const { current } = buildMesh(base + filter(inbound, { spec: "  workloadSelector: {labels: {app: other}}\n" }));
    const plain = viewsOf(buildMesh(base).current, sidecar());
    expect(viewsOf(current, sidecar()).keys).toEqual(plain.keys);
  });

  it("have a patch only where it can change something", () => {
    const { keys } = viewsOf(buildMesh(base + filter(inbound)).current, sidecar());
    expect(keys.workload.patches).toEqual([{ namespace: "shop", name: "patch", patches: [0] }]);
    expect([keys.scope.patches, keys.listener.patches]).toEqual([undefined, undefined]);
  });

  it("tell clusters and routes from listeners, and what is added once from the rest", () => {
    const patches = `
  - {applyTo: CLUSTER, patch: {operation: ADD, value: {name: a}}}
  - {applyTo: CLUSTER, patch: {operation: MERGE, value: {alt_stat_name: a}}}
  - {applyTo: LISTENER, match: {context: SIDECAR_OUTBOUND}, patch: {operation: MERGE, value: {}}}
  - {applyTo: EXTENSION_CONFIG, match: {context: GATEWAY}, patch: {operation: ADD, value: ${lua()}}}
  - {applyTo: HTTP_ROUTE, match: {context: GATEWAY}, patch: {operation: ADD, value: {name: a}}}
  - {applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {}}}`;
    const { keys } = viewsOf(buildMesh(base + filter(patches)).current, sidecar());
    const indexes = [keys.scope, keys.listener, keys.workload].map((key) =>
      key.patches?.flatMap((each) => each.patches),
    );
    expect(indexes).toEqual([[0, 1, 3], [2], [1]]);
  });
});

describe("results", () => {
  it("are the very same where no patch is for them", () => {
    const mesh = buildMesh(base);
    const before = viewsOf(mesh.current, sidecar());
    const listeners = generators.outboundListeners(before.scope, before.keys.listener);
    const { after } = mesh.apply(setObjects(parseMeshObjects(filter(inbound))));
    const { scope, keys } = viewsOf(after, sidecar());
    const again = generators.outboundListeners(scope, keys.listener);
    expect(again.map(({ message }) => message)).toEqual(listeners.map(({ message }) => message));
    for (const [index, { message }] of again.entries()) expect(message).toBe(listeners[index]?.message);
  });

  it("are the very same while patches are, whatever else changes", () => {
    const mesh = buildMesh(base + filter(inbound));
    const first = inboundOf(mesh.current);
    const { after } = mesh.apply(setObjects(parseMeshObjects(base.replaceAll("db", "store"))));
    expect(inboundOf(after)).toBe(first);
  });

  it("name the filters that made them, and only those", () => {
    const outbound = `  - {applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND, cluster: {service: web.shop.svc.cluster.local}}, patch: {operation: MERGE, value: {connect_timeout: 3s}}}`;
    const { scope } = viewsOf(buildMesh(base + filter(outbound)).current, sidecar());
    const made = generators
      .outboundClusters(scope)
      .filter(({ sources }) => sources.some(({ kind }) => kind === "EnvoyFilter"));
    expect(made.map(({ name }) => name)).toEqual(["outbound|80||web.shop.svc.cluster.local"]);
  });

  function inboundOf(snapshot: Snapshot): Listener | undefined {
    return generators.inboundListeners(viewsOf(snapshot, sidecar()).workload)[0]?.message;
  }
});

describe("configurations of extensions", () => {
  it("are found by name, the first of two, whatever their context", () => {
    const patches = `
  - {applyTo: EXTENSION_CONFIG, match: {context: GATEWAY}, patch: {operation: ADD, value: ${lua("a")}}}
  - {applyTo: EXTENSION_CONFIG, patch: {operation: ADD, value: {name: a, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer}}}}`;
    const { current } = buildMesh(base + filter(patches));
    const { scope } = viewsOf(current, sidecar());
    const config = generators.extensionConfig(scope, "a");
    expect(config?.sources).toEqual([{ kind: "EnvoyFilter", namespace: "shop", name: "patch" }]);
    expect(config?.message.typed_config?.type_url).toMatch(/Lua$/);
    expect(generators.extensionConfig(scope, "b")).toBeUndefined();
    expect(messagesOf(current, sidecar())).toEqual([
      "spec.configPatches[1]: is left out: an earlier patch adds a configuration of this name (EnvoyFilter shop/patch)",
    ]);
  });
});

describe("messages", () => {
  it("say what found nothing on any of the proxies, and nothing of what was found on one", () => {
    const patches = `
  - {applyTo: CLUSTER, match: {cluster: {service: nowhere}}, patch: {operation: REMOVE}}
  - {applyTo: VIRTUAL_HOST, match: {context: SIDECAR_OUTBOUND, proxy: {metadata: {A: b}}}, patch: {operation: MERGE, value: {}}}
  - {applyTo: CLUSTER, match: {context: GATEWAY}, patch: {operation: REMOVE}}`;
    const { current } = buildMesh(base + filter(patches));
    const missed =
      "spec.configPatches[0]: finds nothing: no connected proxy that it is for has such a CLUSTER (EnvoyFilter shop/patch)";
    expect(messagesOf(current)).toEqual([]);
    expect(messagesOf(current, sidecar())).toEqual([missed]);
    expect(messagesOf(current, sidecar(), sidecar({}, { metadata: { A: "b" } }))).toEqual([missed]);
  });

  const faults: readonly (readonly [string, string, string])[] = [
    [
      "a filter behind the router",
      `{applyTo: HTTP_FILTER, match: {context: SIDECAR_OUTBOUND}, patch: {operation: ADD, value: ${lua()}}}`,
      "would stand behind envoy.filters.http.router, which must be the last: use INSERT_BEFORE",
    ],
    [
      "a chain without an end",
      `{applyTo: HTTP_FILTER, match: ${beforeRouter("SIDECAR_OUTBOUND")}, patch: {operation: REMOVE}}`,
      "envoy.filters.http.router ends the chain, which cannot be without",
    ],
    [
      "a configuration of another type",
      `{applyTo: NETWORK_FILTER, match: {context: SIDECAR_OUTBOUND, listener: {filterChain: {filter: {name: ${manager}}}}}, patch: {operation: MERGE, value: {typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}}}`,
      "holds a configuration of type envoy.extensions.filters.network.echo.v3.Echo, but what it is merged into has one of envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    ],
    [
      "a name that is taken",
      "{applyTo: CLUSTER, patch: {operation: ADD, value: {name: BlackHoleCluster}}}",
      "there is one with the name BlackHoleCluster already",
    ],
    [
      "a domain that is taken",
      "{applyTo: VIRTUAL_HOST, match: {context: SIDECAR_OUTBOUND}, patch: {operation: ADD, value: {name: a, domains: [a, web]}}}",
      "another virtual host has the domains that are left out of a",
    ],
    [
      "a listener without a name",
      "{applyTo: LISTENER, patch: {operation: ADD, value: {}}}",
      "what is added needs a name",
    ],
  ];
  it.each(faults)("say why something is left out: %s", (_name, patch, reason) => {
    const { current } = buildMesh(base + filter(`  - ${patch}`));
    expect(messagesOf(current, sidecar())).toEqual([
      `spec.configPatches[0]: is left out: ${reason} (EnvoyFilter shop/patch)`,
    ]);
  });

  it("say which extension a proxy does not have", () => {
    const { current } = buildMesh(base + filter(inbound));
    const stock = sidecar(
      {},
      { extensions: [manager, "envoy.filters.http.router", "envoy.filters.network.tcp_proxy"] },
    );
    expect(messagesOf(current, stock)).toEqual([
      "spec.configPatches[0]: is left out: the proxy does not have envoy.filters.http.lua (EnvoyFilter shop/patch)",
    ]);
  });
});

describe("routers", () => {
  it("get patches of gateways and of any context in their scope and listeners", () => {
    const router = describeProxy({
      ...{ name: "gateway", type: "router", address: "10.1.0.9", workload: "gw-1", namespace: "shop", labels: {} },
    });
    const patches = `
  - {applyTo: CLUSTER, match: {context: GATEWAY}, patch: {operation: MERGE, value: {alt_stat_name: a}}}
  - {applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND}, patch: {operation: MERGE, value: {alt_stat_name: b}}}
  - {applyTo: LISTENER, patch: {operation: ADD, value: {name: own}}}`;
    const { scope, keys, workload } = viewsOf(buildMesh(base + filter(patches)).current, router);
    expect(new Set(generators.outboundClusters(scope).map(({ message }) => message.alt_stat_name))).toEqual(
      new Set(["a"]),
    );
    expect(generators.outboundListeners(scope, keys.listener).map(({ name }) => name)).toEqual(["own"]);
    expect(generators.inboundListeners(workload)).toEqual([]);
  });
});
