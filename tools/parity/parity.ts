/**
 * `make parity`: what Meltemi gives the proxies of a reference folder, beside what was recorded there.
 *
 * The folder (PARITY_DIR, by default the shared reference beside the checkout) holds mesh.yaml, proxies.json, cases/ and,
 * or else the default folder does, compare.mjs. CASES=01,03 picks cases by the beginning of their names. Every case
 * runs through the whole control plane: files, snapshot, translation, gRPC. SOURCE=kubernetes puts the objects into a real
 * API server instead of files. Cases without a recording are given to real Envoys instead; the run fails where one is
 * refused.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fromJson } from "@meltemi/protos";
import type { Node } from "@meltemi/protos/envoy/config/core/v3";
import type { NodeJson } from "../../test/envoy/isolated-envoy.ts";
import { startTestControlPlane, type TestControlPlaneOptions } from "../../test/support/control-plane.ts";
import { acceptCase } from "./accept-case.ts";
import { type ClusterMesh, startClusterMesh } from "./cluster-source.ts";
import { type FetchedResources, fetchResources } from "./fetch-resources.ts";
import { formatRecorded } from "./recorded-form.ts";

const root = resolve(import.meta.dirname, "../..");
const defaultFolder = resolve(root, "../shared/reference");
const folder = resolve(process.env["PARITY_DIR"] ?? defaultFolder);
const output = join(root, ".cache/parity");

for (const name of ["mesh.yaml", "proxies.json", "cases"]) {
  if (existsSync(join(folder, name))) continue;
  console.error(`${folder} has no ${name}. Name a folder with mesh.yaml, proxies.json and cases/ in PARITY_DIR.`);
  process.exit(2);
}

const picked = (process.env["CASES"] ?? "").split(",").filter((prefix) => prefix !== "");
const cases = readdirSync(join(folder, "cases"))
  .filter((name) => picked.length === 0 || picked.some((prefix) => name.startsWith(prefix)))
  .sort();
if (cases.length === 0) {
  console.error(`no case in ${folder} begins with ${picked.join(" or ")}`);
  process.exit(2);
}
const nodes = Object.entries(
  JSON.parse(readFileSync(join(folder, "proxies.json"), "utf8")) as Record<string, object>,
).map(([name, json]) => [name, fromJson("envoy.config.core.v3.Node", json as Parameters<typeof fromJson>[1])] as const);

rmSync(output, { recursive: true, force: true });
const recorded = join(output, "reference");
const ours = join(output, "ours");
const cluster =
  process.env["SOURCE"] === "kubernetes"
    ? await startClusterMesh(readFileSync(join(folder, "mesh.yaml"), "utf8"))
    : undefined;
try {
  for (const name of cases) await (cluster === undefined ? runCase(name) : runClusterCase(name, cluster));
} finally {
  await cluster?.stop();
}

const unrecorded = cases.filter((name) => !isRecorded(name));
const compare = [join(folder, "compare.mjs"), join(defaultFolder, "compare.mjs")].find((file) => existsSync(file));
if (compare === undefined) {
  console.log(`no compare.mjs found; our resources are in ${ours}`);
} else if (unrecorded.length < cases.length) {
  for (const kind of ["clusters", "endpoints", "routes", "listeners"] as const) printShare(kind, compare);
  spawnSync(process.execPath, [compare, recorded, ours, ...process.argv.slice(2)], { stdio: "inherit" });
}

for (const name of unrecorded) await checkUnrecorded(name);

function isRecorded(name: string): boolean {
  return nodes.some(([proxy]) => existsSync(join(folder, "cases", name, proxy)));
}

async function checkUnrecorded(name: string): Promise<void> {
  const given = JSON.parse(readFileSync(join(folder, "proxies.json"), "utf8")) as Readonly<Record<string, NodeJson>>;
  let count = 0;
  const refused: string[] = [];
  for await (const { proxy, variant, istioVersion, rejections } of acceptCase(folder, name, given)) {
    count += 1;
    refused.push(...rejections.map((text) => `  ${proxy} ${variant}, Istio ${istioVersion}: ${text}`));
  }
  console.log(`${name}: nothing recorded; ${count} Envoys, ${refused.length} rejections`);
  for (const line of refused) console.log(line);
  if (refused.length > 0) process.exitCode = 1;
}

async function runCase(name: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "meltemi-parity-"));
  copyFileSync(join(folder, "mesh.yaml"), join(directory, "mesh.yaml"));
  copyFileSync(join(folder, "cases", name, "config.yaml"), join(directory, "zz-config.yaml"));
  try {
    await recordCase(name, { configDir: directory });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function runClusterCase(name: string, mesh: ClusterMesh): Promise<void> {
  const takeAway = await mesh.apply(readFileSync(join(folder, "cases", name, "config.yaml"), "utf8"));
  const options = { kubeconfig: mesh.kubeconfig, httpsAddr: "127.0.0.1:0", validationWebhookConfigName: "none" };
  await recordCase(name, { options: { ...options, leaderElection: "false", writeStatus: "false" } });
  await takeAway();
}

async function recordCase(name: string, options: TestControlPlaneOptions): Promise<void> {
  const server = await startTestControlPlane(options);
  try {
    for (const [proxy, node] of nodes)
      writeResources(name, proxy, await fetchResources(server.grpcAddress, node as Node));
  } finally {
    await server.stop();
  }
}

/** Writes ours, and copies the recording of the same case, so that only picked cases are compared. */
function writeResources(name: string, proxy: string, resources: FetchedResources): void {
  for (const [kind, list] of Object.entries(resources)) {
    const file = `${kind}.json`;
    const from = join(folder, "cases", name, proxy, file);
    for (const base of [ours, recorded]) mkdirSync(join(base, name, proxy), { recursive: true });
    writeFileSync(join(ours, name, proxy, file), `${JSON.stringify(list.map(formatRecorded), null, 1)}\n`);
    if (existsSync(from)) copyFileSync(from, join(recorded, name, proxy, file));
  }
}

/** The comparison counts all kinds together; for one kind it gets folders with only that kind. */
function printShare(kind: keyof FetchedResources, compare: string): void {
  const folders = [recorded, ours].map((base) => {
    const only = join(output, kind, base === ours ? "ours" : "reference");
    for (const name of cases) {
      for (const [proxy] of nodes) {
        mkdirSync(join(only, name, proxy), { recursive: true });
        const from = join(base, name, proxy, `${kind}.json`);
        if (existsSync(from)) copyFileSync(from, join(only, name, proxy, `${kind}.json`));
      }
    }
    return only;
  });
  const { stdout } = spawnSync(process.execPath, [compare, ...folders, "--diffs", "0"], { encoding: "utf8" });
  console.log(`${kind.padEnd(10)} ${stdout.trim().split("\n").at(-1)}`);
}
