import { expect, test } from "vitest";
import { parseNode } from "../model/node.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import { VerifiedIdentity } from "../model/verified-identity.ts";
import { checkIdentity, describeRegistration } from "./registration.ts";

const all = { registersProxies: true, takesHealth: true, checksIdentity: true };

function proxyOf(metadata: object, address = "10.0.0.1"): MeshProxy {
  const node = {
    id: `sidecar~${address}~vm.shop~shop.svc.cluster.local`,
    metadata: { NAMESPACE: "shop", ...metadata },
  };
  const proxy = parseNode(node);
  if (typeof proxy === "string") throw new Error(proxy);
  return proxy;
}

const group = { AUTO_REGISTER_GROUP: "vms" };
const byGroup = (name: string) => ({ kind: "group", namespace: "shop", name, group: "vms" });

test.each([
  ["nothing", {}, undefined],
  ["a group", group, byGroup("vms-10.0.0.1")],
  ["a group and a network", { ...group, NETWORK: "east" }, byGroup("vms-10.0.0.1-east")],
  ["a group and addresses", { ...group, INSTANCE_IPS: "2001:db8::1,10.0.0.2" }, byGroup("vms-2001-db8--1")],
  ["a group without a namespace", { ...group, NAMESPACE: "" }, undefined],
  ["an entry", { WORKLOAD_ENTRY: "vm-1" }, { kind: "entry", namespace: "shop", name: "vm-1", group: "" }],
  ["both", { ...group, WORKLOAD_ENTRY: "vm-1" }, byGroup("vms-10.0.0.1")],
  ["an entry without a namespace", { WORKLOAD_ENTRY: "vm-1", NAMESPACE: "" }, undefined],
])("a proxy that names %s", (_, metadata, expected) => {
  expect(describeRegistration(proxyOf(metadata), all)).toEqual(expected);
});

test("a name that is too long loses its beginning", () => {
  const registration = describeRegistration(proxyOf({ AUTO_REGISTER_GROUP: "g".repeat(250) }), all);
  expect(registration?.name).toBe(`${"g".repeat(244)}-10.0.0.1`);
});

test("what is switched off is passed over", () => {
  const proxy = proxyOf({ ...group, WORKLOAD_ENTRY: "vm-1" });
  expect(describeRegistration(proxy, { ...all, registersProxies: false })?.kind).toBe("entry");
  expect(describeRegistration(proxy, { ...all, registersProxies: false, takesHealth: false })).toBeUndefined();
});

const source = "certificate" as const;
const identity = VerifiedIdentity.verify(proxyOf({}), {
  identity: { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "vm" },
  source,
}) as VerifiedIdentity;

test.each([
  [{ namespace: "shop" }, undefined],
  [{ namespace: "shop", serviceAccount: "" }, undefined],
  [{ namespace: "shop", serviceAccount: "vm" }, undefined],
  [{ namespace: "shop", serviceAccount: "db" }, expect.stringContaining('"vm" cannot be registered as "db"')],
  [{ namespace: "bank", serviceAccount: "vm" }, expect.stringContaining('cannot be registered in "bank"')],
])("shop/vm may stand for %j: %s", (entry, expected) => {
  expect(checkIdentity(identity, entry)).toEqual(expected);
});

test("nobody may who has proven nothing", () => {
  expect(checkIdentity(undefined, { namespace: "shop" })).toBe("a workload needs a verified identity to be registered");
});
