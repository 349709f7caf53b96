/** Envoy or the companion proxy as a process of its own, with a bootstrap that says everything. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { envoyBinary } from "../../tools/envoy/fetch.ts";
import { companionProgram, type DataPlane, eventually } from "../envoy/envoy-process.ts";

export interface StaticPlane {
  readonly plane: DataPlane;
  /** A page of the administration, as text. */
  admin(path: string): Promise<string>;
  /** Counters and gauges whose names match, by name. */
  stats(filter: string): Promise<ReadonlyMap<string, number>>;
  /** False where it has crashed. */
  isRunning(): boolean;
  log(): string;
  stop(): Promise<void>;
}

export interface StaticPlaneOptions {
  readonly plane: DataPlane;
  /** Must be nobody else's: Envoys share ports without a word (`holdPorts`). */
  readonly adminPort: number;
  /** Everything but the administration. */
  readonly bootstrap: object;
  /** Flags of Node for the companion. */
  readonly nodeFlags?: readonly string[];
}

/** Starts it and waits until it is ready. Rejects with its log where it does not get there. */
export async function startStaticPlane({
  plane,
  adminPort,
  bootstrap,
  nodeFlags = [],
}: StaticPlaneOptions): Promise<StaticPlane> {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-plane-"));
  const [config, logFile] = [join(folder, "bootstrap.json"), join(folder, "log")];
  const admin = { address: { socket_address: { address: "127.0.0.1", port_value: adminPort } } };
  writeFileSync(config, JSON.stringify({ node: { id: "test", cluster: "test" }, admin, ...bootstrap }));
  const output = openSync(logFile, "a");
  const [program, first] =
    plane === "envoy" ? [await envoyBinary(), []] : [process.execPath, [...nodeFlags, companionProgram]];
  const args = [...first, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"];
  const child = spawn(program, args, { stdio: ["ignore", output, output] });
  const ended = once(child, "exit");
  const started: StaticPlane = {
    plane,
    admin: async (path) => await (await fetch(`http://127.0.0.1:${adminPort}/${path}`)).text(),
    async stats(filter) {
      const text = await started.admin(`stats?filter=${encodeURIComponent(filter)}`);
      return new Map([...text.matchAll(/^(\S+): (\d+)$/gm)].map(([, name = "", value]) => [name, Number(value)]));
    },
    isRunning: () => child.exitCode === null && child.signalCode === null,
    log: () => readFileSync(logFile, "utf8"),
    async stop() {
      child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
  try {
    await eventually(`${plane} is ready`, async () => {
      if (!started.isRunning()) throw new Error(`it ended:\n${started.log()}`);
      return (await fetch(`http://127.0.0.1:${adminPort}/ready`)).status === 200;
    });
    return started;
  } catch (cause: unknown) {
    const log = started.log();
    await started.stop();
    throw new Error(`${String(cause)}\n${log}`);
  }
}

/** Starts the same with both; where one of them does not start nothing stays of the other. */
export async function startBoth<Each extends { stop(): Promise<void> }>(
  start: (plane: DataPlane) => Promise<Each>,
): Promise<Record<DataPlane, Each>> {
  const [envoy, companion] = await Promise.allSettled([start("envoy"), start("companion")]);
  if (envoy.status === "fulfilled" && companion.status === "fulfilled") {
    return { envoy: envoy.value, companion: companion.value };
  }
  const problems: unknown[] = [];
  for (const started of [envoy, companion]) {
    if (started.status === "fulfilled") await started.value.stop();
    else problems.push(started.reason);
  }
  throw new AggregateError(problems, problems.map(String).join("\n"));
}
