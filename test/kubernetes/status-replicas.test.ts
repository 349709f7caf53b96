/** Several replicas over one API server: statuses count the proxies of all of them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { findFreePort } from "../../tools/free-ports.ts";
import { chartFolder } from "./chart-rendering.ts";
import { baseObjects, sidecar, virtualServiceOf } from "./fault-mesh.ts";
import { WatchingProxy } from "./watching-proxy.ts";

const program = fileURLToPath(new URL("../../src/cli/meltemi.mjs", import.meta.url));
const namespace = "istio-system";

interface Replica {
  readonly name: string;
  readonly grpcAddress: string;
  readonly process: ChildProcess;
  readonly output: string[];
}

let cluster: Cluster;
let kubeconfig: string;
const replicas: Replica[] = [];
const proxies: WatchingProxy[] = [];

beforeAll(async () => {
  cluster = await startCluster();
  // The rights of the chart, and no others; nobody answers at its webhook here.
  const values = ["--set", "validation.enabled=false"];
  await cluster.helm(["install", "meltemi", chartFolder, "--namespace", namespace, "--create-namespace", ...values]);
  kubeconfig = await cluster.kubeconfigOf(namespace, "meltemi");
  await cluster.kubectl(["apply", "--server-side", "-f", "-"], baseObjects());
}, 180_000);

afterAll(async () => {
  for (const proxy of proxies) proxy.stop();
  for (const { process: child } of replicas) await end(child, "SIGKILL");
  await cluster?.stop();
});

async function startReplica(name: string): Promise<Replica> {
  const ports = { grpcAddr: await findFreePort(), httpAddr: await findFreePort() };
  const at = (port: number): string => `127.0.0.1:${port}`;
  const addresses = [`--grpcAddr=${at(ports.grpcAddr)}`, `--httpAddr=${at(ports.httpAddr)}`];
  const others = [
    "--secureGRPCAddr=",
    "--monitoringAddr=127.0.0.1:0",
    "--httpsAddr=127.0.0.1:0",
    `--namespace=${namespace}`,
  ];
  const env = { ...process.env, POD_NAME: name, VALIDATION_WEBHOOK_CONFIG_NAME: "none" };
  const args = [program, "serve", `--kubeconfig=${kubeconfig}`, "--log_as_json", ...addresses, ...others];
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  const replica: Replica = { name, grpcAddress: at(ports.grpcAddr), process: child, output: [] };
  child.stdout?.on("data", (chunk: Buffer) => replica.output.push(chunk.toString()));
  replicas.push(replica);
  await until(`${name} is ready`, async () => (await fetch(`http://${at(ports.httpAddr)}/ready`)).status === 200);
  return replica;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}

async function until(what: string, isTrue: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const limit = Date.now() + withinMs;
  for (;;) {
    if (await Promise.resolve(isTrue()).catch(() => false)) return;
    if (Date.now() > limit) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

let serial = 0;
function connect(replica: Replica, count: number): void {
  for (let index = 0; index < count; index++) {
    serial += 1;
    proxies.push(new WatchingProxy(replica.grpcAddress, serial % 2 === 0 ? "sotw" : "delta", sidecar.node(serial)));
  }
}

interface Stored {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly { readonly reason: string; readonly message: string }[];
  };
}

/** The status as a person reads it: "<generation> <reason>: <message>". */
async function statusOf(name: string): Promise<string> {
  const text = await cluster.kubectl(["get", "virtualservice", name, "-n", "shop", "-o", "json"]);
  const { status } = JSON.parse(text) as Stored;
  const [condition] = status?.conditions ?? [];
  return `${status?.observedGeneration} ${condition?.reason}: ${condition?.message}`;
}

async function untilStatus(wanted: string, name = "cart", withinMs = 60_000): Promise<void> {
  let last = "";
  await until(
    wanted,
    async () => {
      last = await statusOf(name);
      return last === wanted;
    },
    withinMs,
  ).catch((cause: unknown) => {
    throw new Error(`the status of ${name} is "${last}"`, { cause });
  });
}

const listLeases = async (): Promise<readonly string[]> =>
  (await cluster.kubectl(["get", "lease", "-n", namespace, "-o", "name"]))
    .split("\n")
    .map((line) => line.replace("lease.coordination.k8s.io/", ""))
    .filter((line) => line !== "")
    .sort();

const leaderName = async (): Promise<string> =>
  (
    await cluster.kubectl(["get", "lease", "meltemi-leader", "-n", namespace, "-o", "jsonpath={.spec.holderIdentity}"])
  ).split("_")[0] ?? "";

it("a status counts the proxies of all replicas", async () => {
  const one = await startReplica("one");
  await until("the first leads", async () => (await leaderName()) === "one");
  const [two, three] = [await startReplica("two"), await startReplica("three")];
  connect(one, 2);
  connect(two, 2);
  connect(three, 1);
  await untilStatus("1 Live: 5/5 proxies up to date.");
  expect(await listLeases()).toEqual(["meltemi-leader", "meltemi-proxies-three", "meltemi-proxies-two"]);
}, 120_000);

it("a change ends live on all of them, and says nothing else of its end before", async () => {
  await cluster.kubectl(["apply", "-f", "-"], virtualServiceOf(2));
  const seen = new Set<string>();
  await until("the change is live", async () => {
    const status = await statusOf("cart");
    if (status.startsWith("2 ")) seen.add(status);
    return status.includes("2 Live");
  });
  expect([...seen].filter((status) => status.includes("Live"))).toEqual(["2 Live: 5/5 proxies up to date."]);
});

it("an object that is new is live only when all replicas know it", async () => {
  await cluster.kubectl(["apply", "-f", "-"], virtualServiceOf(1, "users"));
  let first = "";
  await until("it is live", async () => {
    first = await statusOf("users");
    return first.includes("Live");
  });
  expect(first).toBe("1 Live: 5/5 proxies up to date.");
});

it("proxies of a replica that is killed are counted until its Lease ends", async () => {
  const three = replicas.find(({ name }) => name === "three");
  if (three === undefined) throw new Error("a replica is needed");
  await end(three.process, "SIGKILL");
  await untilStatus("2 Live: 4/4 proxies up to date.", "cart", 90_000);
}, 120_000);

it("a replica that ends in good order takes its counts along, and the leader's end moves the sum", async () => {
  const [one, two] = replicas;
  if (one === undefined || two === undefined) throw new Error("two replicas are needed");
  const four = await startReplica("four");
  connect(four, 1);
  await until("it tells of it", async () => (await listLeases()).includes("meltemi-proxies-four"));
  await end(one.process, "SIGTERM");
  await until("another leads", async () => ["two", "four"].includes(await leaderName()));
  const follower = (await leaderName()) === "two" ? four : two;
  await untilStatus("2 Live: 3/3 proxies up to date.");
  expect(await listLeases()).toContain(`meltemi-proxies-${follower.name}`);
  expect(await listLeases()).not.toContain("meltemi-proxies-one");
  await end(follower.process, "SIGTERM");
  expect(await listLeases()).not.toContain(`meltemi-proxies-${follower.name}`);
}, 120_000);

it("needs no right that the chart does not give", () => {
  for (const { output } of replicas)
    expect(output.join("")).not.toMatch(/forbidden|"level":"error"|other replicas|each other's proxies/i);
});
