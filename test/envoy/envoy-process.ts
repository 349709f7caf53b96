/** A real Envoy for tests: started with a bootstrap, asked through its administration pages, ended with the test. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BootstrapOptions, buildEnvoyBootstrap } from "../../src/cli/envoy-bootstrap.ts";
import { envoyBinary } from "../../tools/envoy/fetch.ts";
import { findFreePort } from "../../tools/free-ports.ts";

export interface EnvoyProcess {
  readonly adminPort: number;
  /** A page of Envoy's administration, as text. */
  admin(path: string): Promise<string>;
  /** Value of a counter or gauge; 0 where Envoy has none of that name. */
  stat(name: string): Promise<number>;
  log(): string;
  stop(): Promise<void>;
}

/** What takes the configuration: Envoy itself, or the companion proxy, which is to do the same with it. */
export const dataPlanes = ["envoy", "companion"] as const;
export type DataPlane = (typeof dataPlanes)[number];

/** The companion proxy's program, which takes Envoy's command line. */
export const companionProgram: string = fileURLToPath(
  import.meta.resolve("../../packages/proxy/src/cli/meltemi-proxy.mjs"),
);

/** What differs from one Envoy to the next; the rest is that of a sidecar without interception. */
export type EnvoyOptions = Pick<BootstrapOptions, "name" | "namespace" | "labels" | "discovery"> &
  Partial<BootstrapOptions> & {
    /** Envoy itself where not given. */
    readonly dataPlane?: DataPlane;
    /** Port of a DNS server on the loopback address, for what names no resolver of its own; the system's where not given. */
    readonly dnsPort?: number;
    /** A port on the loopback address on which every worker thread answers 200 whatever the control plane says. */
    readonly probePort?: number;
    /** Unix socket on which an agent passes configuration on, in place of `discovery`. */
    readonly xdsSocket?: string;
  };

/** Starts an Envoy and waits until it is configured (its /ready answers 200). */
export async function startEnvoy(options: EnvoyOptions): Promise<EnvoyProcess> {
  const [program, ...first] = await findProgram(options.dataPlane);
  const adminPort = await findFreePort();
  const folder = mkdtempSync(join(tmpdir(), "meltemi-envoy-"));
  const bootstrap = buildEnvoyBootstrap({
    type: "sidecar",
    ip: "127.0.0.1",
    domain: "cluster.local",
    clusterId: "Kubernetes",
    serviceAccount: "default",
    interceptionMode: "NONE",
    delta: false,
    ...options,
    adminPort,
  });
  writeFileSync(join(folder, "bootstrap.json"), JSON.stringify(withTestParts(bootstrap, options)));
  const logFile = join(folder, "envoy.log");
  const output = openSync(logFile, "a");
  const args = [
    ...first,
    "-c",
    join(folder, "bootstrap.json"),
    "--concurrency",
    "1",
    "--disable-hot-restart",
    "-l",
    "warning",
  ];
  const child = spawn(program, args, { stdio: ["ignore", output, output] });
  let isStopping = false;
  child.once("exit", (code, signal) => {
    if (!isStopping) process.stderr.write(`${options.name} has ended by itself (${signal ?? code}):\n${envoy.log()}\n`);
  });
  const envoy: EnvoyProcess = {
    adminPort,
    admin: async (path) => await (await fetch(`http://127.0.0.1:${adminPort}/${path}`)).text(),
    async stat(name) {
      const text = await envoy.admin(`stats?filter=^${name.replaceAll(".", "\\.")}$`);
      return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
    },
    log: () => readFileSync(logFile, "utf8"),
    async stop() {
      isStopping = true;
      await endProcess(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await eventually(`Envoy ${options.name} is configured`, async () => {
    if (child.exitCode !== null) throw new Error(`Envoy ended:\n${envoy.log()}`);
    return (await fetch(`http://127.0.0.1:${adminPort}/ready`)).status === 200;
  }).catch(async (cause: unknown) => {
    const log = envoy.log();
    await envoy.stop();
    throw new Error(`${String(cause)}\n${log}`);
  });
  return envoy;
}

async function findProgram(dataPlane: DataPlane = "envoy"): Promise<readonly [string, ...string[]]> {
  if (dataPlane === "envoy") return [await envoyBinary()];
  return [process.execPath, companionProgram];
}

function endProcess(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}

/** Asks until the answer is true; a question that fails counts as no. Rejects after the time with the last failure. */
export async function eventually(what: string, ask: () => Promise<boolean>, withinMs = 20_000): Promise<void> {
  const end = Date.now() + withinMs;
  let last: unknown = "the answer was no";
  while (Date.now() < end) {
    try {
      if (await ask()) return;
      last = "the answer was no";
    } catch (cause) {
      last = cause;
    }
    await new Promise((settle) => setTimeout(settle, 20));
  }
  throw new Error(`not within ${withinMs / 1000} s: ${what} (${String(last)})`);
}

function withTestParts(bootstrap: object, { dnsPort, probePort, xdsSocket }: EnvoyOptions): object {
  const { static_resources: fixed } = bootstrap as {
    readonly static_resources: { readonly clusters: readonly Named[] };
  };
  const clusters = fixed.clusters.map((cluster) =>
    xdsSocket === undefined || cluster.name !== "xds-grpc" ? cluster : moveToSocket(cluster, xdsSocket),
  );
  const listeners = probePort === undefined ? {} : { listeners: [buildProbe(probePort)] };
  return {
    ...bootstrap,
    ...(dnsPort === undefined ? {} : { typed_dns_resolver_config: buildResolver(dnsPort) }),
    static_resources: { ...fixed, clusters, ...listeners },
  };
}

interface Named {
  readonly name: string;
}

function moveToSocket({ name, ...cluster }: Named, path: string): Named {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: { pipe: { path } } } }] }];
  return Object.assign({ ...cluster, name }, { type: "STATIC", load_assignment: { cluster_name: name, endpoints } });
}

function buildProbe(port: number): object {
  const everything = { match: { prefix: "/" }, direct_response: { status: 200 } };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "probe",
    route_config: { virtual_hosts: [{ name: "probe", domains: ["*"], routes: [everything] }] },
    http_filters: [
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  return {
    name: "probe",
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] }],
  };
}

function buildResolver(port: number): object {
  return {
    name: "envoy.network.dns_resolver.cares",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
      resolvers: [{ socket_address: { address: "127.0.0.1", port_value: port } }],
      dns_resolver_options: { no_default_search_domain: true },
    },
  };
}
