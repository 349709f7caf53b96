/** Workloads outside Kubernetes that register themselves, by the groups of a mesh that does not come from a cluster. */
import { struct } from "@meltemi/protos";
import { expect, onTestFinished, test, vi } from "vitest";
import { healthTypeUrl } from "../../src/xds/request.ts";
import { WatchingProxy } from "../kubernetes/watching-proxy.ts";
import { type SecureMesh, startSecureMesh } from "../support/secure-mesh.ts";
import { type Variant, XdsClient, type XdsStream } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";

const cluster = "outbound|80||machines.example.org";
const permissionDenied = 7;
const patient = { timeout: 20_000, interval: 20 };

const group = `apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines, namespace: shop}
spec: {metadata: {labels: {app: machine}}, template: {serviceAccount: machine}}
---
`;
const service = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: machines, namespace: shop}
spec: {hosts: [machines.example.org], location: MESH_INTERNAL, ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, workloadSelector: {labels: {app: machine}}}
---
`;
const written = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: by-hand, namespace: shop, annotations: {proxy.istio.io/health-checks-enabled: "true"}}
spec: {address: 10.70.0.9, labels: {app: machine}, serviceAccount: machine}
---
`;

interface Machine {
  readonly stream: XdsStream;
  /** What its agent says: nothing is wrong, or this is. */
  say(wrong?: string): void;
}

class Shop {
  readonly mesh: SecureMesh;
  readonly #watcher: WatchingProxy;

  constructor(mesh: SecureMesh) {
    this.mesh = mesh;
    const id = "sidecar~10.60.0.1~web.shop~shop.svc.cluster.local";
    this.#watcher = new WatchingProxy(mesh.controlPlane.grpcAddress, "sotw", {
      id,
      metadata: struct({ NAMESPACE: "shop" }),
    });
    onTestFinished(() => this.#watcher.stop());
  }

  /** What a proxy of the mesh was told last of who serves the host. */
  endpoints(): readonly string[] | undefined {
    const told = this.#watcher.received.flatMap(({ resources }) => resources.filter(({ name }) => name === cluster));
    const message = told.findLast(({ typeUrl }) => typeUrl === typeUrls.eds)?.message;
    if (message === undefined) return undefined;
    return [...JSON.stringify(message).matchAll(/"address":"([^"]+)"/g)].map(([, address = ""]) => address);
  }

  waitFor(...addresses: readonly string[]): Promise<void> {
    return vi.waitFor(() => expect(this.endpoints()).toEqual(addresses), patient);
  }

  async connect(account: string, metadata: object, variant: Variant = "sotw", address = "10.70.0.1"): Promise<Machine> {
    return openMachine(await this.mesh.connectAs(account), metadata, { variant, address });
  }

  entry(name = "machines-10.70.0.1") {
    return this.mesh.controlPlane.snapshot().findObject("WorkloadEntry", "shop", name);
  }
}

function openMachine(
  client: XdsClient,
  metadata: object,
  how: { readonly variant: Variant; readonly address: string },
): Machine {
  const stream: XdsStream = client.open(how.variant);
  const id = `sidecar~${how.address}~vm.shop~shop.svc.cluster.local`;
  stream.send({ type_url: typeUrls.cds, node: { id, metadata: struct({ NAMESPACE: "shop", ...metadata }) } });
  return {
    stream,
    say: (wrong) =>
      stream.send({
        type_url: healthTypeUrl,
        ...(wrong === undefined ? {} : { error_detail: { code: 500, message: wrong } }),
      }),
  };
}

async function startShop(yaml: string, workloadGracePeriod = "100ms"): Promise<Shop> {
  return new Shop(await startSecureMesh(yaml, { options: { workloadGracePeriod, podName: "one" } }));
}

const registers = { AUTO_REGISTER_GROUP: "machines" };
const probes = { ...registers, PROXY_CONFIG: { readinessProbe: { httpGet: { port: 80 } } } };

test("a connected proxy of a group serves, until it is gone for longer than the grace period", async () => {
  const shop = await startShop(service + group);
  const machine = await shop.connect("shop/machine", registers);
  await machine.stream.next();
  await shop.waitFor("10.70.0.1");
  expect(shop.entry()).toMatchObject({
    meta: {
      labels: { app: "machine" },
      annotations: {
        "istio.io/autoRegistrationGroup": "machines",
        "istio.io/workloadController": "one",
        "istio.io/connectedAt": expect.stringMatching(/Z$/) as string,
      },
    },
    spec: { address: "10.70.0.1", labels: { app: "machine" }, serviceAccount: "machine" },
  });
  machine.stream.cancel();
  await shop.waitFor();
  expect(shop.entry()).toBeUndefined();
});

test("a proxy that comes back in time serves all the while", async () => {
  const shop = await startShop(service + group, "600ms");
  const first = await shop.connect("shop/machine", registers);
  await shop.waitFor("10.70.0.1");
  const connectedAt = shop.entry()?.meta.annotations["istio.io/connectedAt"];
  first.stream.cancel();
  await vi.waitFor(() => expect(shop.entry()?.meta.annotations).toHaveProperty(["istio.io/disconnectedAt"]), patient);
  const second = await shop.connect("shop/machine", registers, "delta");
  await second.stream.next();
  await vi.waitFor(
    () => expect(shop.entry()?.meta.annotations).not.toHaveProperty(["istio.io/disconnectedAt"]),
    patient,
  );
  expect(shop.entry()?.meta.annotations["istio.io/connectedAt"]).not.toBe(connectedAt);
  await new Promise((resolve) => void setTimeout(resolve, 1000));
  expect(shop.endpoints()).toEqual(["10.70.0.1"]);
});

test("of two streams of a proxy the last one counts", async () => {
  const shop = await startShop(service + group);
  const streams = [
    await shop.connect("shop/machine", registers),
    await shop.connect("shop/machine", registers, "delta"),
  ];
  await shop.waitFor("10.70.0.1");
  for (const { stream } of streams) await stream.next();
  // The newer one ends first: the older one is still there.
  streams[1]?.stream.cancel();
  await new Promise((resolve) => void setTimeout(resolve, 500));
  expect(shop.endpoints()).toEqual(["10.70.0.1"]);
  streams[0]?.stream.cancel();
  await shop.waitFor();
});

test.each(["sotw", "delta"] as const)(
  "with probes it serves while its agent says that it is well (%s)",
  async (variant) => {
    const shop = await startShop(service + group);
    const { say } = await shop.connect("shop/machine", probes, variant);
    await vi.waitFor(() => expect(shop.entry()).toBeDefined(), patient);
    await shop.waitFor();
    say();
    await shop.waitFor("10.70.0.1");
    say("no answer");
    await shop.waitFor();
    say();
    await shop.waitFor("10.70.0.1");
  },
);

test("a group that comes later takes in who is connected, and takes them along when it goes", async () => {
  const shop = await startShop(service);
  const { stream } = await shop.connect("shop/machine", registers);
  // It is served meanwhile.
  await stream.next();
  await shop.waitFor();
  shop.mesh.source.apply(group);
  await shop.waitFor("10.70.0.1");
  shop.mesh.source.delete({ kind: "WorkloadGroup", namespace: "shop", name: "machines" });
  await shop.waitFor();
  shop.mesh.source.apply(group);
  await shop.waitFor("10.70.0.1");
});

test.each([
  ["another service account", "shop/web", registers],
  ["another service account than that of the entry that it names", "shop/web", { WORKLOAD_ENTRY: "by-hand" }],
])("a proxy with %s is refused", async (_, account, metadata) => {
  const shop = await startShop(service + group + written);
  const { stream } = await shop.connect(account, metadata);
  expect(await stream.ended).toMatchObject({
    code: permissionDenied,
    details: expect.stringContaining("service account"),
  });
  expect(shop.entry()).toBeUndefined();
});

test("a proxy in plain text is refused, unless nobody checks", async () => {
  const shop = await startShop(service + group);
  const how = { variant: "sotw", address: "10.70.0.1" } as const;
  const client = new XdsClient(shop.mesh.controlPlane.grpcAddress);
  onTestFinished(() => client.close());
  expect((await openMachine(client, registers, how).stream.ended).code).toBe(permissionDenied);
  expect(shop.entry()).toBeUndefined();

  const trusting = await startSecureMesh(service + group, { options: { workloadIdentityCheck: "false" } });
  const other = new XdsClient(trusting.controlPlane.grpcAddress);
  onTestFinished(() => other.close());
  await openMachine(other, registers, how).stream.next();
  const find = () => trusting.controlPlane.snapshot().findObject("WorkloadEntry", "shop", "machines-10.70.0.1");
  await vi.waitFor(() => expect(find()).toBeDefined(), patient);
});

test("health of an entry that somebody wrote counts until its workload is gone", async () => {
  const shop = await startShop(service + written);
  const { say, stream } = await shop.connect("shop/machine", { WORKLOAD_ENTRY: "by-hand" }, "sotw", "10.70.0.9");
  await stream.next();
  await shop.waitFor();
  say();
  await shop.waitFor("10.70.0.9");
  expect(shop.entry("by-hand")?.meta.annotations["istio.io/workloadController"]).toBe("one");
  stream.cancel();
  await shop.waitFor();
  expect(shop.entry("by-hand")).toBeDefined();
});

test("a proxy whose entry would not be valid is served, and not registered", async () => {
  const shop = await startShop(service + group);
  const { stream } = await shop.connect("shop/machine", { ...registers, LABELS: { app: "no label!" } });
  await stream.next();
  await shop.connect("shop/machine", registers, "sotw", "10.70.0.2");
  await shop.waitFor("10.70.0.2");
  expect(shop.entry()).toBeUndefined();
});
