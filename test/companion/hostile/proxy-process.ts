/** The proxy under attack: a process whose memory is read from outside, so that a busy proxy is measured like an idle one. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { envoyBinary } from "../../../tools/envoy/fetch.ts";
import { companionProgram, type DataPlane } from "../../envoy/envoy-process.ts";
import { preferProcess } from "./actor.ts";

export interface ProxyOptions {
  readonly dataPlane: DataPlane;
  readonly adminPort: number;
  readonly controlPlanePort: number;
  readonly isDelta: boolean;
}

export class ProxyProcess {
  readonly #child: ChildProcess;
  readonly #adminPort: number;
  readonly #folder: string;

  private constructor(child: ChildProcess, adminPort: number, folder: string) {
    this.#child = child;
    this.#adminPort = adminPort;
    this.#folder = folder;
  }

  static async start(options: ProxyOptions): Promise<ProxyProcess> {
    const folder = mkdtempSync(join(tmpdir(), "meltemi-hostile-"));
    const file = join(folder, "bootstrap.json");
    writeFileSync(file, JSON.stringify(buildBootstrap(options)));
    const output = openSync(join(folder, "proxy.log"), "a");
    const isEnvoy = options.dataPlane === "envoy";
    const program = isEnvoy ? await envoyBinary() : process.execPath;
    const first = isEnvoy ? [] : [companionProgram];
    const args = [...first, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"];
    const child = spawn(program, args, { stdio: ["ignore", output, output] });
    if (child.pid !== undefined) preferProcess(child.pid);
    return new ProxyProcess(child, options.adminPort, folder);
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The last lines that it wrote. */
  log(): string {
    return readFileSync(join(this.#folder, "proxy.log"), "utf8").slice(-4_000);
  }

  /**
   * Gauges whose names contain a regular expression (RE2): all statistics of thousands of clusters would leave the proxy
   * with as much garbage as an attack. Rejects where the proxy is gone.
   */
  async gauges(filter: string): Promise<ReadonlyMap<string, number>> {
    const query = `type=Gauges&filter=${encodeURIComponent(filter)}`;
    const address = `http://127.0.0.1:${this.#adminPort}/stats?${query}`;
    const response = await fetch(address, { signal: AbortSignal.timeout(30_000) });
    const stats = new Map<string, number>();
    for (const line of (await response.text()).split("\n")) {
      const [, name = "", value = ""] = /^(\S+): (\d+)$/.exec(line) ?? [];
      if (name !== "") stats.set(name, Number(value));
    }
    return stats;
  }

  /** Memory in bytes: now, and the most since the last call. */
  takeMemory(): { readonly now: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    const read = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1_024;
    writeFileSync(`/proc/${this.#child.pid}/clear_refs`, "5");
    return { now: read("VmRSS"), peak: read("VmHWM") };
  }

  async stop(): Promise<void> {
    if (this.isAlive) {
      const end = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill("SIGKILL");
      await end;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function buildBootstrap({ adminPort, controlPlanePort, isDelta }: ProxyOptions): object {
  const ads = { ads: {}, resource_api_version: "V3" };
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const address = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });
  return {
    node: { id: "hostile", cluster: "hostile" },
    admin: { address: address(adminPort) },
    dynamic_resources: {
      ads_config: {
        api_type: isDelta ? "DELTA_GRPC" : "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "control-plane" } }],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: {
      clusters: [
        {
          name: "control-plane",
          type: "STATIC",
          connect_timeout: "5s",
          typed_extension_protocol_options: {
            [options]: {
              "@type": `type.googleapis.com/${options}`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: "control-plane",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(controlPlanePort) } }] }],
          },
        },
      ],
    },
  };
}
