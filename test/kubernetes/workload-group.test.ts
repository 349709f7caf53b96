/** Workloads outside Kubernetes that register themselves, on a real API server, with two replicas. */
import { struct } from "@meltemi/protos";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { healthTypeUrl } from "../../src/xds/request.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { XdsClient, type XdsStream } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";
import { installCrds } from "./install-crds.ts";

const patient = { timeout: 30_000, interval: 50 };
const permissionDenied = 7;
const name = "machines-10.70.0.1";
let cluster: Cluster;
const replicas: ControlPlane[] = [];
let roots = "";
let groupUid = "";

interface Entry {
  readonly metadata: {
    readonly labels: object;
    readonly annotations: Readonly<Record<string, string>>;
    readonly ownerReferences: object;
  };
  readonly spec: object;
  readonly status?: { readonly conditions: readonly { readonly type: string; readonly status: string }[] };
}

const group = `apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines, namespace: shop}
spec: {metadata: {labels: {app: machine}}, template: {serviceAccount: machine, ports: {http: 8080}}}`;

async function startReplica(podName: string): Promise<ControlPlane> {
  return startTestControlPlane({
    limits: { debounceQuietMs: 0, drainMs: 200 },
    options: {
      kubeconfig: cluster.kubeconfig,
      secureGrpcAddr: "127.0.0.1:0",
      httpsAddr: "127.0.0.1:0",
      validationWebhookConfigName: "none",
      leaderElection: "false",
      writeStatus: "false",
      workloadGracePeriod: "1s",
      podName,
    },
  });
}

beforeAll(async () => {
  cluster = await startCluster();
  await installCrds(cluster);
  for (const namespace of ["istio-system", "shop"]) await cluster.kubectl(["create", "namespace", namespace]);
  for (const account of ["machine", "web"]) await cluster.kubectl(["create", "serviceaccount", account, "-n", "shop"]);
  await apply(group);
  groupUid = await cluster.kubectl([
    "get",
    "workloadgroup",
    "machines",
    "-n",
    "shop",
    "-o",
    "jsonpath={.metadata.uid}",
  ]);
  for (const podName of ["one", "two"]) replicas.push(await startReplica(podName));
  const path = "jsonpath={.data.root-cert\\.pem}";
  const encoded = await cluster.kubectl(["get", "secret", "istio-ca-secret", "-n", "istio-system", "-o", path]);
  roots = Buffer.from(encoded, "base64").toString();
});

afterEach(async () => {
  await cluster.kubectl(["delete", "workloadentries", "--all", "-n", "shop"]);
});

afterAll(async () => {
  for (const replica of replicas) await replica.stop();
  await cluster?.stop();
});

const apply = (yaml: string): Promise<string> => cluster.kubectl(["apply", "--server-side", "-f", "-"], yaml);

async function read(entry = name): Promise<Entry | undefined> {
  const text = await cluster.kubectl(["get", "workloadentry", entry, "-n", "shop", "--ignore-not-found", "-o", "json"]);
  return text === "" ? undefined : (JSON.parse(text) as Entry);
}

async function annotationsOf(entry = name): Promise<Readonly<Record<string, string>>> {
  return (await read(entry))?.metadata.annotations ?? {};
}

async function connect(replica: 0 | 1, metadata: object, account = "machine"): Promise<XdsStream<"sotw">> {
  const words = ["create", "token", account, "--namespace", "shop", "--duration", "10m", "--audience", "istio-ca"];
  const token = (await cluster.kubectl(words)).trim();
  const client = new XdsClient(replicas[replica]?.secureGrpcAddress() ?? "", { roots, token });
  onTestFinished(() => client.close());
  const stream = client.open("sotw");
  const node = { id: "sidecar~10.70.0.1~vm.shop~shop", metadata: struct({ NAMESPACE: "shop", ...metadata }) };
  stream.send({ type_url: typeUrls.cds, node });
  return stream;
}

const registers = { AUTO_REGISTER_GROUP: "machines" };
const [controller, connectedAt, disconnectedAt] = ["workloadController", "connectedAt", "disconnectedAt"].map(
  (word) => `istio.io/${word}`,
) as [string, string, string];

test("an entry is made with its owner, marked when the proxy is gone, and deleted after the grace period", async () => {
  const stream = await connect(0, { ...registers, LABELS: { version: "v1" } });
  await stream.next();
  await vi.waitFor(async () => expect(await annotationsOf()).toHaveProperty([connectedAt]), patient);
  const labels = { app: "machine", version: "v1" };
  const owner = { apiVersion: "networking.istio.io/v1", kind: "WorkloadGroup", name: "machines", uid: groupUid };
  expect(await read()).toMatchObject({
    metadata: {
      labels,
      annotations: { "istio.io/autoRegistrationGroup": "machines", [controller]: "one" },
      ownerReferences: [{ ...owner, controller: true }],
    },
    spec: { address: "10.70.0.1", serviceAccount: "machine", ports: { http: 8080 }, labels },
  });
  await vi.waitFor(() => {
    for (const replica of replicas) expect(replica.snapshot().findObject("WorkloadEntry", "shop", name)).toBeDefined();
  }, patient);
  stream.cancel();
  await vi.waitFor(async () => expect(await annotationsOf()).toHaveProperty([disconnectedAt]), patient);
  expect(await annotationsOf()).not.toHaveProperty([connectedAt]);
  await vi.waitFor(async () => expect(await read()).toBeUndefined(), patient);
});

test("a replica that a proxy moves to takes its entry over", async () => {
  const first = await connect(0, registers);
  await vi.waitFor(async () => expect((await annotationsOf())[controller]).toBe("one"), patient);
  await connect(1, registers);
  await vi.waitFor(async () => expect((await annotationsOf())[controller]).toBe("two"), patient);
  first.cancel();
  await new Promise((resolve) => void setTimeout(resolve, 2500));
  const annotations = await annotationsOf();
  expect(annotations[controller]).toBe("two");
  expect(annotations).not.toHaveProperty([disconnectedAt]);
});

test("health is a condition beside those of others, and goes with the workload where people wrote the entry", async () => {
  await apply(`apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: by-hand, namespace: shop, annotations: {proxy.istio.io/health-checks-enabled: "true"}}
spec: {address: 10.70.0.1, serviceAccount: machine}`);
  const status = JSON.stringify({ status: { conditions: [{ type: "Reconciled", status: "True" }] } });
  const patch = ["patch", "workloadentry", "by-hand", "-n", "shop", "--subresource", "status", "--type", "merge"];
  await cluster.kubectl([...patch, "-p", status]);
  const stream = await connect(0, { WORKLOAD_ENTRY: "by-hand" });
  await stream.next();
  const health = async () => (await read("by-hand"))?.status?.conditions.map(({ type, status }) => `${type} ${status}`);
  stream.send({ type_url: healthTypeUrl, error_detail: { code: 500, message: "no answer" } });
  await vi.waitFor(async () => expect(await health()).toEqual(["Reconciled True", "Healthy False"]), patient);
  expect((await read("by-hand"))?.status?.conditions[1]).toMatchObject({ message: "no answer" });
  stream.send({ type_url: healthTypeUrl });
  await vi.waitFor(async () => expect(await health()).toEqual(["Reconciled True", "Healthy True"]), patient);
  expect((await annotationsOf("by-hand"))[controller]).toBe("one");
  stream.cancel();
  await vi.waitFor(async () => expect(await health()).toEqual(["Reconciled True"]), patient);
});

test("what a replica left behind is cleared up by those that are there", async () => {
  await apply(`apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: left
  namespace: shop
  annotations: {istio.io/autoRegistrationGroup: machines, istio.io/workloadController: zero, istio.io/disconnectedAt: "2026-01-01T00:00:00.123456789Z"}
spec: {address: 10.70.0.2}`);
  await vi.waitFor(async () => expect(await read("left")).toBeUndefined(), patient);
});

test("a token for another service account registers nothing", async () => {
  const stream = await connect(0, registers, "web");
  expect((await stream.ended).code).toBe(permissionDenied);
  expect(await read()).toBeUndefined();
});
