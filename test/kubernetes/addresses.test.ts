/** Addresses of hosts in the statuses of ServiceEntries, on a real API server with the CRDs that people apply. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { parseObject } from "../../src/api/parse.ts";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import type { KubeClient, KubeRequest } from "../../src/kube/kube-client.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { listAddressChanges } from "../../src/snapshot/address-changes.ts";
import { type AddressWriter, createAddressWriter } from "../../src/status/address-writer.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { createTestMesh, setObjects } from "../support/mesh-objects.ts";
import { installCrds } from "./install-crds.ts";

const folder = "/apis/networking.istio.io/v1/namespaces/default/serviceentries";

interface StoredEntry {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
  readonly status?: {
    readonly addresses?: readonly { readonly host: string; readonly value: string }[];
    readonly conditions?: readonly unknown[];
  };
}

let cluster: Cluster;
let client: KubeClient;
const writers: AddressWriter[] = [];

beforeAll(async () => {
  cluster = await startCluster();
  await installCrds(cluster);
  client = await createKubeClient({ kubeconfig: cluster.kubeconfig, clock: systemClock, log: silentLog, qps: 1000 });
});

afterEach(async () => {
  for (const writer of writers.splice(0)) await writer.stop();
  await cluster.kubectl(["delete", "serviceentries", "--all", "-n", "default"]);
});

afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

async function apply(name: string, spec: string): Promise<void> {
  await cluster.kubectl(
    ["apply", "--server-side", "-f", "-"],
    `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec: {hosts: [${name}.example], ports: [{number: 80, name: http, protocol: HTTP}], ${spec}}`,
  );
}

const read = async (name: string): Promise<StoredEntry> =>
  (await client.request({ path: `${folder}/${name}` })) as StoredEntry;

async function patchStatus(name: string, status: object): Promise<void> {
  const contentType = "application/merge-patch+json";
  await client.request({ method: "PATCH", path: `${folder}/${name}/status`, body: { status }, contentType });
}

interface Watched {
  /** Takes in what is stored, as a source does, and tells the writer. */
  readonly look: () => Promise<void>;
  readonly patches: string[];
}

async function startWriter(isLeader = true): Promise<Watched> {
  const mesh = createTestMesh();
  const patches: string[] = [];
  const watched: KubeClient = {
    server: client.server,
    request: (request: KubeRequest) => {
      if (request.method === "PATCH") patches.push(request.path);
      return client.request(request);
    },
    stream: (request) => client.stream(request),
    close: () => undefined,
  };
  const writer = createAddressWriter({
    ...{ client: watched, clock: systemClock, log: silentLog },
    election: { isLeader: () => isLeader, onChange: () => undefined },
    listWrites: () => listAddressChanges(mesh.current),
  });
  const look = async (): Promise<void> => {
    const list = (await client.request({ path: folder })) as { readonly items: readonly object[] };
    const typed = list.items.map((item) => ({ ...item, apiVersion: "networking.istio.io/v1", kind: "ServiceEntry" }));
    mesh.apply(setObjects(typed.flatMap((raw) => parseObject(raw).object ?? [])));
    writer.notify();
  };
  writers.push(writer);
  await look();
  writer.start();
  return { look, patches };
}

const waitForAddresses = (name: string, expected: unknown): Promise<void> =>
  vi.waitFor(async () => expect((await read(name)).status?.addresses).toEqual(expected), { timeout: 15_000 });

/** Longer than a writer takes to look twice. */
const settle = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 1500));

test("each host gets an address of each family, once", async () => {
  await apply("a", "resolution: DNS");
  await apply("passes", "resolution: NONE");
  await patchStatus("a", { conditions: [{ type: "Reconciled", status: "True" }] });
  const { look, patches } = await startWriter();
  const of = (family: string) => ({ host: "a.example", value: expect.stringMatching(family) as string });
  await waitForAddresses("a", [of("^240\\.240\\."), of("^2001:2::")]);
  const { metadata, status } = await read("a");
  expect(status?.conditions).toEqual([{ type: "Reconciled", status: "True" }]);
  await look();
  await settle();
  expect((await read("a")).metadata.resourceVersion).toBe(metadata.resourceVersion);
  expect((await read("passes")).status).toBeUndefined();
  expect(patches).toHaveLength(1);
});

test("what stands there stays, also when it is another's choice", async () => {
  await apply("a", "resolution: DNS");
  const addresses = [{ host: "a.example", value: "240.240.0.1" }];
  await patchStatus("a", { addresses });
  const { patches } = await startWriter();
  await settle();
  expect((await read("a")).status?.addresses).toEqual(addresses);
  expect(patches).toEqual([]);
});

test("addresses go with the reason for them", async () => {
  await apply("a", "resolution: STATIC, addresses: [192.0.2.1], endpoints: [{address: 192.0.2.2}]");
  await patchStatus("a", { addresses: [{ host: "a.example", value: "240.240.0.1" }] });
  await startWriter();
  await waitForAddresses("a", undefined);
});

test("what was written since the mesh was read is not overwritten", async () => {
  await apply("a", "resolution: DNS");
  const addresses = [{ host: "a.example", value: "240.240.0.9" }];
  const { look } = await startWriter();
  await patchStatus("a", { addresses });
  await settle();
  await look();
  await settle();
  expect((await read("a")).status?.addresses).toEqual(addresses);
});

test("only the leader writes", async () => {
  await apply("a", "resolution: DNS");
  const { patches } = await startWriter(false);
  await settle();
  expect(patches).toEqual([]);
});
