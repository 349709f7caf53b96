/** The real agent as a process of its own, with a real Envoy below it, in a folder that stands for a pod's root. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { envoyBinary } from "../../tools/envoy/fetch.ts";
import { findFreePorts } from "../../tools/free-ports.ts";
import type { SecureMesh } from "../support/secure-mesh.ts";

const program = fileURLToPath(new URL("../../src/cli/meltemi.mjs", import.meta.url));

export interface AgentProcessOptions {
  readonly type?: "sidecar" | "router";
  /** Name of the workload, also its label app. */
  readonly name: string;
  /** Of namespace shop. */
  readonly serviceAccount?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly proxyConfig?: Readonly<Record<string, unknown>>;
  /** Path in the pod and content. */
  readonly files?: Readonly<Record<string, string>>;
  /** In place of Envoy. */
  readonly binary?: string;
}

export interface AgentProcess {
  readonly child: ChildProcess;
  /** Ports of the agent and of Envoy, on the loopback address. */
  readonly ports: { readonly status: number; readonly admin: number; readonly ready: number; readonly metrics: number };
  readonly folder: string;
  log(): string;
  /** Asks the agent's port. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  admin(path: string): Promise<string>;
  /** The agent's exit code; resolves at its end. */
  readonly exitCode: Promise<number | null>;
  /** Process of Envoy; 0 where there is none. */
  envoyPid(): number;
}

/** Starts an agent that proves who it is with a certificate of the mesh's authority. Ended with the test. */
export async function startAgentProcess(mesh: SecureMesh, options: AgentProcessOptions): Promise<AgentProcess> {
  const { name, type = "sidecar", serviceAccount = name } = options;
  const folder = mkdtempSync(join(tmpdir(), "meltemi-agent-"));
  const { chain, key } = await mesh.certify(`shop/${serviceAccount}`);
  const files = {
    "etc/prov/cert-chain.pem": chain,
    "etc/prov/key.pem": key,
    "etc/prov/root-cert.pem": mesh.roots,
    "etc/istio/pod/labels": `app="${name}"\n`,
    ...options.files,
  };
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  const [status = 0, admin = 0, ready = 0, metrics = 0] = await findFreePorts(4);
  const proxyConfig = {
    discoveryAddress: mesh.controlPlane.secureGrpcAddress(),
    statusPort: status,
    proxyAdminPort: admin,
    concurrency: 1,
    terminationDrainDuration: "2s",
    ...options.proxyConfig,
  };
  const environment = {
    POD_NAME: `${name}-1`,
    POD_NAMESPACE: "shop",
    SERVICE_ACCOUNT: serviceAccount,
    INSTANCE_IP: "127.0.0.1",
    ISTIO_META_INTERCEPTION_MODE: "NONE",
    PROV_CERT: "./etc/prov",
    ISTIOD_SAN: "localhost",
    ECC_SIGNATURE_ALGORITHM: "ECDSA",
    ENVOY_STATUS_PORT: String(ready),
    ENVOY_PROMETHEUS_PORT: String(metrics),
    PROXY_CONFIG: JSON.stringify(proxyConfig),
    ...options.environment,
  };
  const logFile = join(folder, "agent.log");
  const output = openSync(logFile, "a");
  const binary = options.binary ?? (await envoyBinary());
  const flags = ["--binaryPath", binary, "--listenAddress", "127.0.0.1", "--proxyComponentLogLevel=misc:error"];
  const child = spawn(process.execPath, [program, "agent", "proxy", type, ...flags], {
    cwd: folder,
    // The companion proxy runs in the Node that runs this.
    env: { PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`, ...environment },
    stdio: ["ignore", output, output],
  });
  const envoyPid = (): number => Number(readChildren(child.pid)[0] ?? 0);
  const exitCode = new Promise<number | null>((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    const children = readChildren(child.pid);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await exitCode;
    for (const pid of children) endByPid(Number(pid));
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    child,
    ports: { status, admin, ready, metrics },
    folder,
    log: () => readFileSync(logFile, "utf8"),
    ask: (path, init) => fetch(`http://127.0.0.1:${status}${path}`, init),
    admin: async (path) => (await fetch(`http://127.0.0.1:${admin}/${path}`)).text(),
    exitCode,
    envoyPid,
  };
}

function readChildren(pid: number | undefined): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
  } catch {
    return [];
  }
}

function endByPid(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
