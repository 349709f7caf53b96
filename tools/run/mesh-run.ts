/**
 * What both ways of running the sample share: the folder, the ports, the control plane as a process, the services with a
 * proxy beside each, and the end of it all.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildEnvoyBootstrap } from "../../src/cli/envoy-bootstrap.ts";
import { createSelfSigned } from "./certificate.ts";
import { startFileSecrets } from "./file-secrets.ts";
import { controlPlanePorts, listPorts, type PortOwner, type WorkloadLayout, workloads } from "./mesh-layout.ts";
import { createProcessSet, type ProcessSet } from "./processes.ts";
import type { ProxyProgram } from "./proxy-program.ts";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const runFolder = ".cache/run";
export const sampleDir = "manifests/samples/bookinfo";
const secretsSocket = `${runFolder}/secrets.sock`;

export const say = (line: string): void => console.log(line);
export const step = (line: string): void => say(`  ${line}`);

/** Runs `main` from the project's folder; whatever goes wrong is said in one line and ends what was started. */
export async function runProgram(main: () => Promise<void>): Promise<void> {
  // Relative paths in the configuration (certificates) and in what is printed start here.
  process.chdir(root);
  try {
    await main();
  } catch (cause) {
    // The handler of process exit ends what was started.
    console.error(`error: ${cause instanceof Error ? cause.message : String(cause)}`);
    process.exit(1);
  }
}

/** The processes of a run: ended by a signal, `beforeEnd` last, or where the control plane ends. */
export function createRun(beforeEnd: () => Promise<void> = async () => undefined): ProcessSet {
  const processes = createProcessSet(join(runFolder, "logs"), (name, logFile) => {
    if (name === "control-plane") return fail(processes, `the control plane ended:\n${readEnd(logFile)}`);
    say(`! ${name} ended; its log is ${logFile}`);
  });
  endOnSignal(processes, beforeEnd);
  return processes;
}

/** Starts the services and their proxies, and waits until all are configured. */
export async function startWorkloads(processes: ProcessSet, proxy: ProxyProgram): Promise<void> {
  await startFileSecrets(secretsSocket, (line) => say(`! ${line}`));
  for (const workload of workloads) startWorkload(processes, proxy, workload);
  for (const { name, adminPort } of workloads) {
    await waitFor(`the proxy of ${name}`, `http://127.0.0.1:${adminPort}/ready`, () => {
      if (!processes.isRunning(proxyOf(name))) throw new Error(`the proxy of ${name} ended`);
    });
  }
  step(`${workloads.length} ${proxy.title} are configured`);
}

/** A port that somebody else has is told before anything is started, with its owner in this mesh. */
export async function checkPorts(more: readonly PortOwner[] = []): Promise<void> {
  const taken: string[] = [];
  for (const { port, owner } of [...listPorts(), ...more]) {
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

/** Empties the folder of an earlier run and makes a certificate for the HTTPS port. */
export function prepareFolder(): void {
  rmSync(runFolder, { recursive: true, force: true });
  for (const folder of ["logs", "bootstrap", "certs"]) mkdirSync(join(runFolder, folder), { recursive: true });
  const pair = createSelfSigned(["uk.bookinfo.com", "eu.bookinfo.com", "localhost"], Date.now());
  writeFileSync(join(runFolder, "certs", "server.pem"), pair.certificatePem);
  writeFileSync(join(runFolder, "certs", "privatekey.pem"), pair.privateKeyPem, { mode: 0o600 });
}

/** Starts the control plane with the given options and waits until it is ready. */
export async function startControlPlane(processes: ProcessSet, options: readonly string[]): Promise<void> {
  const { grpc, http, monitoring } = controlPlanePorts;
  const addresses = [
    "--grpcAddr",
    `127.0.0.1:${grpc}`,
    "--httpAddr",
    `127.0.0.1:${http}`,
    "--monitoringAddr",
    `127.0.0.1:${monitoring}`,
    "--secureGRPCAddr=",
  ];
  processes.start({
    name: "control-plane",
    command: process.execPath,
    args: ["--max-semi-space-size=16", "src/cli/meltemi.mjs", "serve", ...options, "--log_as_json", ...addresses],
    onLine: printLogLine,
  });
  await waitFor("the control plane", `http://127.0.0.1:${http}/ready`);
  step(`control plane: xDS on 127.0.0.1:${grpc}`);
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

function startWorkload(processes: ProcessSet, proxy: ProxyProgram, workload: WorkloadLayout): void {
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
    ...proxy.args,
    "-c",
    bootstrapFile,
    "--concurrency",
    "1",
    "--disable-hot-restart",
    "--log-level",
    "warning",
    "--skip-deprecated-logs",
  ];
  processes.start({ name: proxyOf(name), command: proxy.command, args });
}

const proxyOf = (workload: string): string => `proxy-${workload}`;

/** Long enough for all these programs to start on a machine that has much else to do. */
const startLimitMs = 90_000;

/** Asks a page until it answers 200; gives up after a minute and a half, or where `check` throws. */
export async function waitFor(what: string, url: string, check: () => void = () => undefined): Promise<void> {
  const end = Date.now() + startLimitMs;
  let last = "nothing";
  while (Date.now() < end) {
    check();
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.status === 200) return void (await answer.text());
    last = answer === undefined ? "nothing" : `${answer.status} ${(await answer.text()).slice(0, 200).trim()}`;
    await new Promise((settle) => setTimeout(settle, 100));
  }
  const limit = `${startLimitMs / 1000} s`;
  throw new Error(`${what} is not ready after ${limit}: ${url} answers ${last}. The logs are in ${runFolder}/logs.`);
}

function endOnSignal(processes: ProcessSet, beforeEnd: () => Promise<void>): void {
  let ending = false;
  const end = (): void => {
    // npm passes Ctrl-C on a second time; once is enough.
    if (ending) return;
    ending = true;
    say("\nEnding the mesh");
    void processes
      .stop()
      .then(beforeEnd)
      .finally(() => process.exit(0));
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
