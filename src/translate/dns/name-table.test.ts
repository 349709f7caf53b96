import { describe, expect, it } from "vitest";
import { buildMesh, parseMeshObjects, setObjects } from "../../../test/support/mesh-objects.ts";
import { testKey } from "../../../test/support/scope-views.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { createScopeView } from "../scopes/create-scope-view.ts";
import { buildNameTable } from "./name-table.ts";

const service = (name: string, address: string): string => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: {clusterIP: ${address}, ports: [{name: http, port: 80}]}
---
`;
const slice = (name: string, address: string): string => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
addressType: IPv4
metadata: {name: ${name}-1, namespace: shop, labels: {kubernetes.io/service-name: ${name}}}
ports: [{name: http, port: 80, protocol: TCP}]
endpoints: [{addresses: [${address}], conditions: {ready: true}}]
---
`;
const tableOf = (snapshot: Snapshot, namespace = "shop") =>
  buildNameTable(createScopeView(snapshot, { ...testKey, id: namespace, namespace }));

describe("the table of names", () => {
  const builder = buildMesh(service("cart", "10.0.0.1") + service("peers", "None") + slice("peers", "10.1.0.1"));

  it("is the same object while no name changes, also for scopes that see the same", () => {
    const before = tableOf(builder.current);
    builder.apply(setObjects(parseMeshObjects(slice("cart", "10.1.0.9"))));
    expect(tableOf(builder.current)).toBe(before);
    expect(tableOf(builder.current, "other")).toBe(before);
  });

  it("is another where endpoints of a headless service change", () => {
    const [before] = tableOf(builder.current);
    builder.apply(setObjects(parseMeshObjects(slice("peers", "10.1.0.2"))));
    const [after] = tableOf(builder.current);
    const host = "peers.shop.svc.cluster.local";
    expect(before?.message.table?.[host]?.ips).toEqual(["10.1.0.1"]);
    expect(after?.message.table?.[host]?.ips).toEqual(["10.1.0.2"]);
  });

  it("says which objects its names come from", () => {
    const [table] = tableOf(builder.current);
    expect(table?.sources.map(({ kind, name }) => `${kind}/${name}`)).toEqual(["Service/cart", "Service/peers"]);
  });
});
