/** The control plane with the chart's arguments, variables and rights, and no others, against a real API server. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { chartFolder, findManifest, parseManifests, valueAt } from "./chart-rendering.ts";
import { environmentOf } from "./chart-variant.ts";

const program = fileURLToPath(new URL("../../src/cli/meltemi.mjs", import.meta.url));
const namespace = "istio-system";
const none = "127.0.0.1:0";
let cluster: Cluster;
let controlPlane: ChildProcess;
let output = "";
let http = "";

/** Resolves with what the log says once it does; rejects where the process ends first. */
async function waitForLog(pattern: RegExp): Promise<RegExpExecArray> {
  for (let attempt = 0; attempt < 1200 && controlPlane.exitCode === null; attempt++) {
    const found = pattern.exec(output);
    if (found !== null) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the log does not say ${pattern}:\n${output}`);
}

async function fetchText(path: string): Promise<string> {
  return (await fetch(`http://${http}${path}`)).text();
}

beforeAll(async () => {
  cluster = await startCluster();
  await cluster.kubectl(["create", "namespace", "gateways"]);
  // Nobody answers at the webhook's Service here: the API server is not to wait long for it.
  const values = ["--set", "secretNamespaces={gateways},validation.timeoutSeconds=1"];
  const target = ["--namespace", namespace, "--create-namespace"];
  await cluster.helm(["install", "meltemi", chartFolder, ...target, ...values]);
  const manifests = parseManifests(await cluster.helm(["get", "manifest", "meltemi", "--namespace", namespace]));
  const args = valueAt(findManifest(manifests, "Deployment"), "spec.template.spec.containers.0.args") as string[];
  const kubeconfig = await cluster.kubeconfigOf(namespace, "meltemi");
  const addresses = ["grpcAddr", "secureGRPCAddr", "httpAddr", "httpsAddr", "monitoringAddr"].map(
    (name) => `--${name}=${none}`,
  );
  controlPlane = spawn(process.execPath, [program, ...args, ...addresses, `--kubeconfig=${kubeconfig}`], {
    env: { ...environmentOf(manifests), POD_NAME: "meltemi-0", POD_NAMESPACE: namespace },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [controlPlane.stdout, controlPlane.stderr]) {
    stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  }
  const [line] = await waitForLog(/^.*"msg":"serving".*$/m);
  http = String(valueAt(JSON.parse(line), "http"));
});
afterAll(async () => {
  controlPlane?.kill("SIGKILL");
  await cluster?.stop();
});

it("becomes ready", async () => {
  expect((await fetch(`http://${http}/ready`)).status).toBe(200);
});

it("sees what is applied", async () => {
  await cluster.kubectl(["create", "service", "clusterip", "reviews", "--tcp=9080:9080", "-n", "gateways"]);
  await expect.poll(() => fetchText("/debug/registryz"), { timeout: 20_000 }).toContain("reviews.gateways.svc");
});

it("needs no right that the chart does not give, and ends cleanly", async () => {
  const end = new Promise((resolve) => controlPlane.on("close", resolve));
  controlPlane.kill("SIGTERM");
  expect(await end).toBe(0);
  expect(output).not.toMatch(/forbidden|cannot (get|list|watch|create|update|patch) resource/i);
});
