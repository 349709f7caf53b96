/**
 * `make run`: the Bookinfo mesh on this machine. Control plane, four small services (three versions of reviews), a real
 * Envoy beside each and one at the entrance, until Ctrl-C. CONFIG_DIR names another directory than the sample's.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildEnvoyBootstrap } from "../../src/cli/envoy-bootstrap.ts";
import { envoyBinary } from "../envoy/fetch.ts";
import { createSelfSigned } from "./certificate.ts";
import { startFileSecrets } from "./file-secrets.ts";
import { controlPlanePorts, gatewayPort, listPorts, type WorkloadLayout, workloads } from "./mesh-layout.ts";
import { createProcessSet, type ProcessSet } from "./processes.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
// Relative paths in the configuration (certificates) and in what is printed start here.
process.chdir(root);
const runFolder = ".cache/run";
const secretsSocket = `${runFolder}/secrets.sock`;
const sampleDir = "manifests/samples/bookinfo";
const configDir = relative(root, resolve(process.env["CONFIG_DIR"] || sampleDir)) || ".";

const say = (line: string): void => console.log(line);
const step = (line: string): void => say(`  ${line}`);

async function main(): Promise<void> {
  say("Setting up");
  const envoy = await envoyBinary(step);
  await checkPorts();
  prepareFolder();
  const processes = createProcessSet(join(runFolder, "logs"), (name, logFile) => {
    if (name === "control-plane") return fail(processes, `the control plane ended:\n${readEnd(logFile)}`);
    say(`! ${name} ended; its log is ${logFile}`);
  });
  endOnSignal(processes);

  say(`Starting the mesh of ${configDir}`);
  startControlPlane(processes);
  await waitFor("the control plane", `http://127.0.0.1:${controlPlanePorts.http}/ready`);
  step(`control plane: xDS on 127.0.0.1:${controlPlanePorts.grpc}`);
  await startFileSecrets(secretsSocket, (line) => say(`! ${line}`));
  for (const workload of workloads) startWorkload(processes, envoy, workload);
  for (const { name, adminPort } of workloads)
    await waitFor(`the proxy of ${name}`, `http://127.0.0.1:${adminPort}/ready`);
  step(`${workloads.length} Envoys are configured`);
  if (configDir === sampleDir) await waitFor("the product page", `http://127.0.0.1:${gatewayPort}/productpage`);
  printInvitation();
}

/** A port that somebody else has is told before anything is started, with its owner in this mesh. */
async function checkPorts(): Promise<void> {
  const taken: string[] = [];
  for (const { port, owner } of listPorts()) {
    if (!(await isFree(port))) taken.push(`port ${port} of 127.0.0.1, which ${owner} needs`);
  }
  if (taken.length === 0) return;
  throw new Error(
    `another program listens on ${taken.join(";\n  also on ")}.\nEnd it (is another \`make run\` open?) and try again.`,
  );
}

function isFree(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const probe = createServer();
    probe.once("error", () => settle(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => settle(true)));
  });
}

function prepareFolder(): void {
  rmSync(runFolder, { recursive: true, force: true });
  for (const folder of ["logs", "bootstrap", "certs"]) mkdirSync(join(runFolder, folder), { recursive: true });
  const pair = createSelfSigned(["uk.bookinfo.com", "eu.bookinfo.com", "localhost"], Date.now());
  writeFileSync(join(runFolder, "certs", "server.pem"), pair.certificatePem);
  writeFileSync(join(runFolder, "certs", "privatekey.pem"), pair.privateKeyPem, { mode: 0o600 });
}

function startControlPlane(processes: ProcessSet): void {
  const { grpc, http, monitoring } = controlPlanePorts;
  const addresses = [
    "--grpcAddr",
    `127.0.0.1:${grpc}`,
    "--httpAddr",
    `127.0.0.1:${http}`,
    "--monitoringAddr",
    `127.0.0.1:${monitoring}`,
  ];
  processes.start({
    name: "control-plane",
    command: process.execPath,
    args: ["src/cli/meltemi.mjs", "serve", "--config-dir", configDir, "--log_as_json", ...addresses],
    onLine: printLogLine,
  });
}

/** Shows what a person at this terminal cares about: problems in files (and their end), warnings and errors. */
function printLogLine(line: string): void {
  try {
    const { level, msg, component } = JSON.parse(line) as { level: string; msg: string; component?: string };
    if (component === "config") say(msg);
    else if (level === "warn" || level === "error") say(`! ${line}`);
  } catch {
    say(line);
  }
}

function startWorkload(processes: ProcessSet, envoy: string, workload: WorkloadLayout): void {
  const { name, app } = workload;
  if (app !== undefined) {
    const ports = ["--port", String(app.port), "--proxy-port", String(app.proxyPort)];
    const program = join(sampleDir, "apps", `${app.program}.ts`);
    processes.start({ name, command: process.execPath, args: [program, "--version", app.version, ...ports] });
  }
  const bootstrapFile = join(runFolder, "bootstrap", `${name}.json`);
  const bootstrap = buildEnvoyBootstrap({
    ...workload,
    ip: "127.0.0.1",
    domain: "cluster.local",
    clusterId: "Kubernetes",
    interceptionMode: "NONE",
    discovery: { host: "127.0.0.1", port: controlPlanePorts.grpc },
    delta: true,
    secretsSocket,
  });
  writeFileSync(bootstrapFile, JSON.stringify(bootstrap, null, 2));
  const args = [
    "-c",
    bootstrapFile,
    "--concurrency",
    "1",
    "--disable-hot-restart",
    "--log-level",
    "warning",
    "--skip-deprecated-logs",
  ];
  processes.start({ name: `envoy-${name}`, command: envoy, args });
}

/** Asks a page until it answers 200; gives up after half a minute. */
async function waitFor(what: string, url: string): Promise<void> {
  const end = Date.now() + 30_000;
  let last = "nothing";
  while (Date.now() < end) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.status === 200) return void (await answer.text());
    last = answer === undefined ? "nothing" : `${answer.status} ${(await answer.text()).slice(0, 200).trim()}`;
    await new Promise((settle) => setTimeout(settle, 100));
  }
  throw new Error(`${what} is not ready after 30 s: ${url} answers ${last}. The logs are in ${runFolder}/logs.`);
}

function printInvitation(): void {
  const debug = `127.0.0.1:${controlPlanePorts.monitoring}`;
  const reviews = join(configDir, "reviews.yaml");
  say(`
Open http://127.0.0.1:${gatewayPort}/productpage

Three things to try, in another terminal:
  1. Edit a weight: in ${reviews} change "weight: 100" of v1 to 0 and "weight: 0" of v3 to 100, save, and
     reload the page: the stars turn red. Mistakes in a file are shown here; the mesh keeps what was good.
  2. Add a fault: above "timeout: 5s" in the same file write
       fault: {abort: {httpStatus: 503, percentage: {value: 50}}}
     and half of the pages have no reviews.
  3. Look at the services that the mesh knows: curl '${debug}/debug/registryz?pretty'
     (http://${debug}/debug lists all such pages)

Ctrl-C ends everything that was started. Logs are in ${runFolder}/logs.
`);
}

function endOnSignal(processes: ProcessSet): void {
  let ending = false;
  const end = (): void => {
    // npm passes Ctrl-C on a second time; once is enough.
    if (ending) return;
    ending = true;
    say("\nEnding the mesh");
    void processes.stop().then(() => process.exit(0));
  };
  process.on("SIGINT", end).on("SIGTERM", end).on("SIGHUP", end);
}

/** The last lines of a log. */
function readEnd(logFile: string): string {
  return readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-5).join("\n");
}

function fail(processes: ProcessSet, reason: string): void {
  console.error(`error: ${reason}`);
  void processes.stop().then(() => process.exit(1));
}

try {
  await main();
} catch (cause) {
  // The handler of process exit ends what was started.
  console.error(`error: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exit(1);
}
