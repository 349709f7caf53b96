/** The proxy that is held against the model, as a process of its own: the companion proxy, or Envoy. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { envoyBinary } from "../../../tools/envoy/fetch.ts";
import { companionProgram, type DataPlane, eventually } from "../../envoy/envoy-process.ts";
import { type Inspector, openInspector } from "./inspector.ts";

export interface ProxyProcessOptions {
  readonly dataPlane: DataPlane;
  readonly isDelta: boolean;
  readonly controlPlanePort: number;
  readonly drainSeconds: number;
}

export interface Memory {
  /** Bytes in use after a collection of garbage, as the proxy counts them. */
  readonly heap: number;
  /** Bytes of the process that are in memory. */
  readonly resident: number;
  /** What keeps the process busy: timers, sockets and so on, by kind. Envoy does not say. */
  readonly resources: Readonly<Record<string, number>>;
}

export interface ProxyProcess {
  /** A page of the administration, as text. */
  admin(path: string): Promise<string>;
  memory(): Promise<Memory>;
  log(): string;
  hasEnded(): boolean;
  stop(): Promise<void>;
}

/** Starts it; it gets its listeners from the control plane later. */
export async function startProxyProcess(options: ProxyProcessOptions): Promise<ProxyProcess> {
  const { dataPlane, drainSeconds } = options;
  const folder = mkdtempSync(join(tmpdir(), "meltemi-model-"));
  const [adminFile, logFile] = [join(folder, "admin"), join(folder, "log")];
  writeFileSync(join(folder, "bootstrap.json"), JSON.stringify(buildBootstrap(options)));
  const [program, first] =
    dataPlane === "envoy"
      ? [await envoyBinary(), ["--concurrency", "1", "--disable-hot-restart"]]
      : [process.execPath, ["--inspect=127.0.0.1:0", companionProgram]];
  const output = openSync(logFile, "a");
  const rest = ["-c", join(folder, "bootstrap.json"), "-l", "warning", "--admin-address-path", adminFile];
  const child = spawn(program, [...first, ...rest, "--drain-time-s", String(drainSeconds)], {
    stdio: ["ignore", output, output],
  });
  const log = (): string => readFileSync(logFile, "utf8");
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const held: { inspector: Inspector | undefined } = { inspector: undefined };
  const proxy: ProxyProcess = {
    ...{ log, hasEnded },
    admin: async (path) => await (await fetch(`http://${readFileSync(adminFile, "utf8")}/${path}`)).text(),
    memory: async () => (held.inspector === undefined ? readEnvoyMemory(proxy, child) : held.inspector.memory()),
    async stop() {
      held.inspector?.close();
      await endProcess(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  try {
    await eventually("the proxy has its administration", async () => {
      if (hasEnded()) throw new Error("it ended");
      return (await proxy.admin("server_info")) !== "";
    });
    if (dataPlane === "companion") held.inspector = await openInspector(log());
    return proxy;
  } catch (cause: unknown) {
    const said = log();
    await proxy.stop();
    throw new Error(`${String(cause)}\n${said}`);
  }
}

function buildBootstrap({ controlPlanePort, isDelta }: ProxyProcessOptions): object {
  const address = { socket_address: { address: "127.0.0.1", port_value: controlPlanePort } };
  const source = { ads: {}, resource_api_version: "V3" };
  return {
    node: { id: "model", cluster: "model" },
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
    dynamic_resources: {
      ads_config: {
        api_type: isDelta ? "DELTA_GRPC" : "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
      },
      cds_config: source,
      lds_config: source,
    },
    static_resources: {
      clusters: [
        {
          name: "xds",
          type: "STATIC",
          load_assignment: { cluster_name: "xds", endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        },
      ],
    },
  };
}

async function readEnvoyMemory(proxy: ProxyProcess, child: ChildProcess): Promise<Memory> {
  const page = JSON.parse(await proxy.admin("memory")) as { readonly allocated: string };
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  const resident = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  return { heap: Number(page.allocated), resident, resources: {} };
}

function endProcess(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
