/**
 * The second half of `make bench`: a control plane beside a real API server. How long from start to ready with a mesh of
 * this size, in how much memory, and how long from a PATCH at the API server until the last proxy has what it changed.
 * API server, etcd, control plane and load share the machine.
 *
 *   node test/bench/cluster-bench.ts [--services 1000] [--pods 5000] [--proxies 200] [--changes 10]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import type { KubeClient } from "../../src/kube/kube-client.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { startCluster } from "../../tools/cluster/cluster.ts";
import { findFreePorts } from "../../tools/free-ports.ts";
import { installCrds } from "../kubernetes/install-crds.ts";
import { fillCluster, sliceEndpoints } from "./cluster-mesh.ts";
import { Fleet, type Latencies } from "./fleet.ts";
import { benchNamespace, benchPort, buildVirtualService, serviceHost } from "./large-mesh.ts";
import { formatBytes, formatMs, median } from "./statistics.ts";

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "1000" },
    pods: { type: "string", default: "5000" },
    proxies: { type: "string", default: "200" },
    changes: { type: "string", default: "10" },
  },
});
const [services, pods, proxies, changes] = [values.services, values.pods, values.proxies, values.changes].map(
  Number,
) as [number, number, number, number];
const perService = Math.max(1, Math.round(pods / services));

const cluster = await startCluster({ progress: (line) => console.log(line) });
const client = await createKubeClient({
  kubeconfig: cluster.kubeconfig,
  qps: 1_000_000,
  burst: 1_000_000,
  clock: systemClock,
  log: silentLog,
});
try {
  await installCrds(cluster);
  // Where the control plane keeps its authority and reads its settings.
  await cluster.kubectl(["create", "namespace", "istio-system"]);
  const filledIn = await timed(() => fillCluster(client, { services, endpointsPerService: perService }));
  console.log(
    `\n${services} services, ${services * perService} pods in a real API server (written in ${formatMs(filledIn)})\n`,
  );
  await measure();
} finally {
  client.close();
  await cluster.stop();
}

async function measure(): Promise<void> {
  const server = await startServer(cluster.kubeconfig);
  const hosts = Array.from({ length: services }, (_, index) => serviceHost(index));
  const fleet = new Fleet({
    address: server.address,
    proxies,
    edsNames: hosts.map((host) => `outbound|${benchPort}||${host}`),
    rdsNames: [String(benchPort)],
  });
  try {
    report("start to ready", `${formatMs(server.readyMs)}, ${server.usage()}`);
    const connected = await fleet.connect();
    report(`${proxies} proxies configured`, `last ${formatMs(connected.lastMs)}, ${server.usage()}`);
    await measureChanges(fleet, "EndpointSlice PATCH to last proxy", "eds", patchSlice);
    await measureChanges(fleet, "VirtualService PATCH to last proxy", "rds", patchVirtualService);
    report("afterwards", server.usage());
  } finally {
    fleet.close();
    await server.stop();
  }
}

/** One change after the other; each is counted from the moment before the request is sent. */
async function measureChanges(
  fleet: Fleet,
  name: string,
  type: "eds" | "rds",
  patch: (client: KubeClient, index: number) => Promise<unknown>,
): Promise<void> {
  const all: Latencies[] = [];
  for (let index = 0; index < changes; index += 1) {
    fleet.take();
    const sent = process.hrtime.bigint();
    const [latencies] = await Promise.all([fleet.waitFor(type, sent), patch(client, index)]);
    all.push(latencies);
    // On a quiet mesh a change goes out at once: the next one must not be the second of a burst.
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const last = all.map(({ lastMs }) => lastMs);
  const half = all.map(({ p50Ms }) => p50Ms);
  report(
    name,
    `median ${formatMs(median(last))}, worst ${formatMs(Math.max(...last))} of ${changes}; half of the proxies ${formatMs(median(half))}`,
  );
}

function patchSlice(kube: KubeClient, index: number): Promise<unknown> {
  return kube.request({
    method: "PATCH",
    path: `/apis/discovery.k8s.io/v1/namespaces/${benchNamespace}/endpointslices/svc-${index}-s`,
    contentType: "application/merge-patch+json",
    body: { endpoints: sliceEndpoints(index, Math.max(1, perService - 1)) },
  });
}

function patchVirtualService(kube: KubeClient, index: number): Promise<unknown> {
  const { spec } = buildVirtualService(index, 30) as { readonly spec: object };
  return kube.request({
    method: "PATCH",
    path: `/apis/networking.istio.io/v1/namespaces/${benchNamespace}/virtualservices/svc-${index}`,
    contentType: "application/merge-patch+json",
    body: { spec },
  });
}

interface Server {
  readonly address: string;
  readonly readyMs: number;
  usage(): string;
  stop(): Promise<void>;
}

/** The program itself, as the image runs it; ready when /ready says so. */
async function startServer(kubeconfig: string): Promise<Server> {
  const [grpc, http, monitoring, https] = await findFreePorts(4);
  const program = fileURLToPath(new URL("../../src/cli/meltemi.mjs", import.meta.url));
  const at = (port: number | undefined): string => `127.0.0.1:${port}`;
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
  // Statuses are not what is measured here: a thousand of them would be written meanwhile.
  const env = { ...process.env, PILOT_ENABLE_STATUS: "false" };
  const args = [program, "serve", "--kubeconfig", kubeconfig, "--log_output_level", "error", ...addresses];
  const begin = performance.now();
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "inherit", "inherit"] });
  process.on("exit", () => child.kill("SIGKILL"));
  while ((await fetch(`http://${at(http)}/ready`).catch(() => undefined))?.status !== 200) {
    if (child.exitCode !== null) throw new Error(`the control plane ended with code ${child.exitCode}`);
    if (performance.now() - begin > 120_000) throw new Error("the control plane is not ready after two minutes");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return {
    address: at(grpc),
    readyMs: performance.now() - begin,
    usage: () => describeUsage(child),
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** Memory and processor time of another process; Linux only, elsewhere the line says less. */
function describeUsage({ pid }: ChildProcess): string {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kilobytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024;
    const [, , , , , , , , , , , user, system] = (readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1] ?? "").split(
      " ",
    );
    const ticksPerSecond = 100;
    const cpuSeconds = (Number(user) + Number(system)) / ticksPerSecond;
    return `${formatBytes(kilobytes("VmRSS"))} resident (at most ${formatBytes(kilobytes("VmHWM"))}), ${cpuSeconds.toFixed(2)} CPU s so far`;
  } catch {
    return "memory unknown on this system";
  }
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await act();
  return performance.now() - begin;
}

function report(name: string, text: string): void {
  console.log(`${name.padEnd(36)}${text}`);
}
