/** Two replicas over one API server, as two pods of one Deployment: processes of their own, with the rights of the chart. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { findFreePort } from "../../tools/free-ports.ts";
import { typeUrls } from "../support/xds-client-rig.ts";
import { baseObjects, gateway, sidecar, virtualServiceOf } from "./fault-mesh.ts";
import { installCrds } from "./install-crds.ts";
import { WatchingProxy } from "./watching-proxy.ts";

const program = fileURLToPath(new URL("../../src/cli/meltemi.mjs", import.meta.url));

interface Replica {
  readonly name: string;
  readonly grpcAddress: string;
  readonly process: ChildProcess;
  readonly log: readonly string[];
}

let cluster: Cluster;
const replicas: Replica[] = [];
const proxies: WatchingProxy[] = [];

beforeAll(async () => {
  cluster = await startCluster();
  await installCrds(cluster);
  await cluster.kubectl(["apply", "--server-side", "-f", "-"], baseObjects());
}, 180_000);

afterAll(async () => {
  for (const proxy of proxies) proxy.stop();
  for (const { process: child } of replicas) await end(child, "SIGKILL");
  await cluster?.stop();
});

async function startReplica(name: string): Promise<Replica> {
  const [grpc, http, monitoring, https] = [
    await findFreePort(),
    await findFreePort(),
    await findFreePort(),
    await findFreePort(),
  ];
  const at = (port: number): string => `127.0.0.1:${port}`;
  const addresses = [
    "--grpcAddr",
    at(grpc),
    "--httpAddr",
    at(http),
    "--monitoringAddr",
    at(monitoring),
    "--httpsAddr",
    at(https),
    "--secureGRPCAddr=",
  ];
  const env = { ...process.env, POD_NAME: name, VALIDATION_WEBHOOK_CONFIG_NAME: "none" };
  const args = [program, "serve", "--kubeconfig", cluster.kubeconfig, "--log_as_json", ...addresses];
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  const log: string[] = [];
  child.stdout?.on("data", (chunk: Buffer) => log.push(...chunk.toString().split("\n")));
  const replica = { name, grpcAddress: at(grpc), process: child, log };
  replicas.push(replica);
  await until(`${name} is ready`, async () => (await fetch(`http://${at(http)}/ready`)).status === 200);
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
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function connect(replica: Replica, place = sidecar, variant: "sotw" | "delta" = "delta"): WatchingProxy {
  const proxy = new WatchingProxy(replica.grpcAddress, variant, place.node(1));
  proxies.push(proxy);
  return proxy;
}

const settled = (proxy: WatchingProxy): Promise<void> =>
  until("the proxy has routes", () => proxy.count("rds") > 0 && (proxy.held.get("rds")?.size ?? 0) > 0);

/** Versions of all resources that a proxy was given, by type and name; what two replicas must agree on. */
function versionsOf(proxy: WatchingProxy): readonly string[] {
  const versions = proxy.received.flatMap(({ typeUrl, resources }) =>
    resources.map(({ name, version }) => `${typeUrl} ${name} ${version}`),
  );
  return [...new Set(versions)].sort();
}

/**
 * What state of the world cannot leave out: its requests do not say whether Envoy is in the midst of waiting for the
 * endpoints of a cluster or the routes of a listener, so these are answered once; then comes the change.
 */
const inDoubt = [typeUrls.eds, typeUrls.rds, typeUrls.rds];

const leaderOf = async (): Promise<string> =>
  (
    await cluster.kubectl([
      "get",
      "lease",
      "meltemi-leader",
      "-n",
      "istio-system",
      "-o",
      "jsonpath={.spec.holderIdentity}",
    ])
  ).split("_")[0] ?? "";

const statusOf = (field: string): Promise<string> =>
  cluster.kubectl(["get", "virtualservice", "cart", "-n", "shop", "-o", `jsonpath={.status.${field}}`]);

describe("two replicas over one API server", { timeout: 180_000 }, () => {
  it("give the same resources the same versions", async () => {
    // One after the other and with changes between them: histories differ, contents do not.
    const first = await startReplica("first");
    for (const attempts of [2, 3, 4]) await cluster.kubectl(["apply", "-f", "-"], virtualServiceOf(attempts));
    const second = await startReplica("second");
    for (const place of [sidecar, gateway]) {
      const [one, other] = [connect(first, place), connect(second, place)];
      await settled(one);
      await settled(other);
      await until("both hold the same", () => one.state() === other.state());
      expect(versionsOf(one).length).toBeGreaterThan(3);
      expect(versionsOf(other)).toEqual(versionsOf(one));
    }
    await cluster.kubectl(["apply", "-f", "-"], virtualServiceOf(5));
    const sotw = [first, second].map((replica) => connect(replica, sidecar, "sotw"));
    for (const proxy of sotw) await settled(proxy);
    await until("both hold the same", () => sotw[0]?.state() === sotw[1]?.state());
    const [one, other] = sotw.map((proxy) =>
      proxy.received
        .map(({ typeUrl, version }) => `${typeUrl} ${version}`)
        .sort()
        .at(-1),
    );
    expect(other).toBe(one);
  });

  it.each(["sotw", "delta"] as const)(
    "send a proxy that moves between them nothing that it has: %s",
    async (variant) => {
      const [first, second] = replicas;
      if (first === undefined || second === undefined) throw new Error("two replicas are needed");
      const proxy = connect(first, sidecar, variant);
      await settled(proxy);
      const attempts = variant === "sotw" ? 6 : 7;
      proxy.reconnect(second.grpcAddress);
      const before = proxy.received.length;
      const state = proxy.state();
      // The route of cart changes after the move: that comes, and nothing else does before or after it.
      await cluster.kubectl(["apply", "-f", "-"], virtualServiceOf(attempts));
      await until("the changed route arrives", () => proxy.state() !== state);
      const names = proxy.received.slice(before).flatMap((response) => [...response.names, ...response.removed]);
      if (variant === "delta") expect(names).toEqual(["80"]);
      else expect(proxy.received.slice(before).map(({ typeUrl }) => typeUrl)).toEqual(inDoubt);
    },
  );

  it("go on writing statuses when the leader is killed", async () => {
    await until("somebody leads", async () => (await leaderOf()) !== "");
    const leaderName = await leaderOf();
    const leader = replicas.find(({ name }) => name === leaderName);
    const survivor = replicas.find((replica) => replica !== leader);
    if (leader === undefined || survivor === undefined) throw new Error("two replicas are needed");
    const watching = connect(survivor);
    await settled(watching);
    await end(leader.process, "SIGKILL");
    const killedAt = Date.now();
    await until("the lease moves", async () => (await leaderOf()) === survivor.name, 60_000);
    // By what the Lease itself says: asking with kubectl takes its time on a loaded machine.
    const lease = ["get", "lease", "meltemi-leader", "-n", "istio-system", "-o", "jsonpath={.spec.acquireTime}"];
    expect(Date.parse(await cluster.kubectl(lease)) - killedAt).toBeLessThan(20_000);
    await cluster.kubectl(["apply", "-f", "-"], virtualServiceOf(9));
    const generation = await cluster.kubectl([
      "get",
      "virtualservice",
      "cart",
      "-n",
      "shop",
      "-o",
      "jsonpath={.metadata.generation}",
    ]);
    await until("the status follows", async () => (await statusOf("observedGeneration")) === generation);
    await until("the status says live", async () => (await statusOf("conditions[0].reason")) === "Live");
    expect(watching.isEnded).toBe(false);
  });
});
