import { expect, test } from "vitest";
import { parseObject } from "../api/parse.ts";
import type { WorkloadGroup } from "../api/workload-group/schema.ts";
import { parseNode } from "../model/node.ts";
import { buildEntry } from "./build-entry.ts";

const registration = { kind: "group", namespace: "shop", name: "vms-10.0.0.1", group: "vms" } as const;

function groupOf(spec: unknown, uid?: string): WorkloadGroup {
  const metadata = { name: "vms", namespace: "shop", ...(uid === undefined ? {} : { uid }) };
  const { object } = parseObject({ apiVersion: "networking.istio.io/v1", kind: "WorkloadGroup", metadata, spec });
  if (object?.kind !== "WorkloadGroup") throw new Error("no group");
  return object;
}

function draftOf(group: WorkloadGroup, metadata: object, locality?: { readonly region: string }) {
  const proxy = parseNode({
    id: "sidecar~10.0.0.1~vm.shop~shop",
    metadata: { NAMESPACE: "shop", ...metadata },
    locality,
  });
  if (typeof proxy === "string") throw new Error(proxy);
  return buildEntry(registration, proxy, group);
}

test("labels of the proxy win over those of the group's metadata, and these over the template's", () => {
  const group = groupOf({
    metadata: { labels: { b: "metadata", c: "metadata" } },
    template: { labels: { a: "template", b: "template" } },
  });
  const { metadata, spec } = draftOf(group, { LABELS: { c: "proxy", "istio-locality": "east" } });
  expect(spec.labels).toEqual({ a: "template", b: "metadata", c: "proxy" });
  expect(metadata.labels).toEqual(spec.labels);
});

test("the template gives what the proxy does not say", () => {
  const template = {
    ports: { http: 80 },
    network: "n",
    locality: "east/a",
    weight: 2,
    serviceAccount: "vm",
    address: "x",
  };
  expect(draftOf(groupOf({ template }), {}).spec).toEqual({ ...template, address: "10.0.0.1" });
  const said = draftOf(groupOf({ template }), { NETWORK: "m" }, { region: "west" });
  expect(said.spec).toEqual({ ...template, address: "10.0.0.1", network: "m", locality: "west" });
  expect(draftOf(groupOf({ template: {} }), {}).spec).toEqual({ address: "10.0.0.1" });
});

test("annotations name the group, and whether the agent probes", () => {
  const group = groupOf({ metadata: { annotations: { owner: "me" } }, template: {} });
  expect(draftOf(group, {}).metadata.annotations).toEqual({ "istio.io/autoRegistrationGroup": "vms", owner: "me" });
  const probing = draftOf(group, { PROXY_CONFIG: { readinessProbe: { tcpSocket: { port: 80 } } } });
  expect(probing.metadata.annotations["proxy.istio.io/health-checks-enabled"]).toBe("true");
});

test("the group owns it where the group is stored in a cluster", () => {
  expect(draftOf(groupOf({ template: {} }), {}).metadata.ownerReferences).toBeUndefined();
  expect(draftOf(groupOf({ template: {} }, "u-1"), {}).metadata.ownerReferences).toEqual([
    { apiVersion: "networking.istio.io/v1", kind: "WorkloadGroup", name: "vms", uid: "u-1", controller: true },
  ]);
});
