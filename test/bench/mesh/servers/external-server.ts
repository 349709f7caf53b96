/** Any control plane with ADS in plain text, known by its address and its process. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readCpuSeconds, readResidentBytes } from "../../proxies/process-usage.ts";
import type { MeshProbe } from "../meshes/mesh.ts";
import { nowMs } from "../proxies/simulated-proxy.ts";
import { awaitMesh } from "./await-mesh.ts";
import type { MeshObject, MeshServer } from "./mesh-server.ts";
import { ObjectFiles } from "./object-files.ts";
import { formatObjects } from "./object-texts.ts";

export interface ExternalServerOptions {
  /** "host:port". */
  readonly address: string;
  readonly pid: number;
  /** Directory that the server watches; or else */
  readonly configDir?: string;
  /** a shell command that gets YAML on its standard input. */
  readonly changeCommand?: string;
}

/** Gives a mesh to a server that runs, and waits until it has taken it in. */
export async function openExternalServer(
  mesh: readonly MeshObject[],
  probe: MeshProbe,
  { address, pid, configDir, changeCommand }: ExternalServerOptions,
): Promise<MeshServer> {
  const write = createWriter(configDir, changeCommand);
  await write(mesh);
  await awaitMesh(address, probe);
  const rssBytes = (): number => readResidentBytes(pid);
  const cannotProfile = (): Promise<never> => Promise.reject(new Error("only servers of this checkout are profiled"));
  return {
    address,
    readyMs: undefined,
    write,
    usage: async () => ({ cpuSeconds: readCpuSeconds(pid), rssBytes: rssBytes() }),
    memory: async () => ({ rssBytes: rssBytes() }),
    startProfile: cannotProfile,
    stopProfile: cannotProfile,
    stop: async () => undefined,
  };
}

function createWriter(configDir: string | undefined, command: string | undefined): MeshServer["write"] {
  if (configDir !== undefined) {
    const files = new ObjectFiles(configDir);
    return async (objects) => files.write(objects);
  }
  if (command === undefined) throw new Error("--server needs --config-dir or --change-command");
  return async (objects) => {
    const atMs = nowMs();
    const child = spawn(command, { shell: true, stdio: ["pipe", "ignore", "inherit"] });
    child.stdin.on("error", () => undefined).end(formatObjects(objects));
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0) throw new Error(`${command} ended with code ${code}`);
    return atMs;
  };
}
