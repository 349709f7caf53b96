/** Envoy or the companion proxy with a bootstrap file that is given to it as it is: what it writes is kept. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { envoyBinary } from "../../tools/envoy/fetch.ts";
import { companionProgram, type DataPlane, eventually } from "../envoy/envoy-process.ts";

export interface StaticProgram {
  /** A page of the administration, as text. */
  admin(path: string): Promise<string>;
  /** Ends it by its administration; resolves to its exit code and what it wrote to standard output. */
  quit(): Promise<{ readonly code: number | null; readonly output: string }>;
  /** Ends it, whatever it does, and leaves nothing of it. */
  stop(): Promise<void>;
}

export interface StaticProgramOptions {
  readonly plane: DataPlane;
  /** Text of the file, and how its name ends. */
  readonly file: { readonly text: string; readonly ending: "yaml" | "json" };
  /** The administration's, which the file does not have. Must be nobody else's (`holdPorts`). */
  readonly adminPort: number;
}

/** Starts it and waits until it is ready. Rejects with what it says where it ends before that. */
export async function startStaticProgram(options: StaticProgramOptions): Promise<StaticProgram> {
  const { plane, file, adminPort } = options;
  const folder = mkdtempSync(join(tmpdir(), "meltemi-static-"));
  const [config, output, errors] = [join(folder, `bootstrap.${file.ending}`), join(folder, "out"), join(folder, "err")];
  writeFileSync(config, file.text);
  const admin = `admin: { address: { socket_address: { address: 127.0.0.1, port_value: ${adminPort} } } }`;
  const [program, first] = plane === "envoy" ? [await envoyBinary(), []] : [process.execPath, [companionProgram]];
  const args = [...first, "-c", config, "--config-yaml", admin, "--concurrency", "1", "--disable-hot-restart"];
  const files = [output, errors].map((path) => openSync(path, "a"));
  const child = spawn(program, args, { stdio: ["ignore", ...files] });
  files.forEach(closeSync);
  const ended = once(child, "exit");
  const call = (path: string, method = "GET"): Promise<Response> =>
    fetch(`http://127.0.0.1:${adminPort}${path}`, { method });
  const started: StaticProgram = {
    admin: async (path) => await (await call(path)).text(),
    async quit() {
      await call("/quitquitquit", "POST");
      await ended;
      return { code: child.exitCode, output: readFileSync(output, "utf8") };
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
  const isReady = async (): Promise<boolean> => child.exitCode !== null || (await call("/ready")).status === 200;
  await eventually(`${plane} is ready`, isReady, 60_000).catch(async (cause: unknown) => {
    await started.stop();
    throw cause;
  });
  if (child.exitCode === null) return started;
  const said = readFileSync(errors, "utf8");
  await started.stop();
  throw new Error(`${plane} ended:\n${said}`);
}
