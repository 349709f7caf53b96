/**
 * A real Envoy with any node, in a network of its own where the machine permits it: its ports clash with nobody's, low
 * ports may be taken, and every address of a mesh is a local one. What goes in and out are Unix sockets, which no network
 * namespace hides: discovery, certificates and Envoy's administration.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createConnection, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildEnvoyBootstrap } from "../../src/cli/envoy-bootstrap.ts";
import { envoyBinary } from "../../tools/envoy/fetch.ts";
import { createSelfSigned } from "../../tools/run/certificate.ts";
import { startSecretServer } from "../../tools/run/file-secrets.ts";

/** envoy.config.core.v3.Node in JSON; Envoy itself adds its version and the list of its extensions. */
export interface NodeJson {
  readonly id: string;
  readonly metadata: { readonly [name: string]: unknown };
}

export interface IsolatedEnvoyOptions {
  readonly node: NodeJson;
  /** "host:port" of the control plane's xDS port. */
  readonly discovery: string;
  readonly delta: boolean;
  /** Refuses fields that Envoy calls deprecated, of which istiod's form has some. */
  readonly refusesDeprecated?: boolean;
}

export interface IsolatedEnvoy {
  /** A page of Envoy's administration, as text. */
  admin(path: string): Promise<string>;
  log(): string;
  /** True until the process has ended. */
  isRunning(): boolean;
  stop(): Promise<void>;
}

/** Starts an Envoy and a server of certificates for it, which has one for every name. Does not wait for readiness. */
export async function startIsolatedEnvoy(options: IsolatedEnvoyOptions): Promise<IsolatedEnvoy> {
  const binary = await envoyBinary();
  const folder = mkdtempSync(join(tmpdir(), "meltemi-envoy-"));
  const sockets = { xds: join(folder, "xds"), secrets: join(folder, "sds"), admin: join(folder, "admin") };
  const relay = await startRelay(sockets.xds, options.discovery);
  const problems: string[] = [];
  const secrets = await startSecretServer(sockets.secrets, {
    find: makeSecret,
    report: (line) => void problems.push(line),
  });
  const configFile = join(folder, "bootstrap.json");
  writeFileSync(configFile, JSON.stringify(buildBootstrap(options, sockets)));
  const logFile = join(folder, "envoy.log");
  const output = openSync(logFile, "a");
  const args = ["-c", configFile, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"];
  const [command = binary, ...prefix] = [...findIsolation(), binary];
  const child = spawn(command, [...prefix, ...args], { cwd: folder, stdio: ["ignore", output, output] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  return {
    admin: (path) => getOverSocket(sockets.admin, path),
    log: () => [readFileSync(logFile, "utf8"), ...problems].join("\n"),
    isRunning: () => child.exitCode === null && child.signalCode === null,
    async stop() {
      child.kill("SIGKILL");
      await ended;
      relay.close();
      secrets.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Sockets {
  readonly xds: string;
  readonly secrets: string;
  readonly admin: string;
}

/** The product's own bootstrap, with sockets in the place of ports. */
function buildBootstrap({ node, delta, refusesDeprecated = false }: IsolatedEnvoyOptions, sockets: Sockets): object {
  const bootstrap = buildEnvoyBootstrap({
    ...{ name: "any", namespace: "any", type: "sidecar", ip: "127.0.0.1", labels: {}, serviceAccount: "default" },
    ...{ domain: "cluster.local", clusterId: "Kubernetes", interceptionMode: "REDIRECT", adminPort: 15000 },
    discovery: { host: "127.0.0.1", port: 15010 },
    secretsSocket: sockets.secrets,
    delta,
  }) as { readonly static_resources: { readonly clusters: readonly { readonly name: string }[] } };
  const pipe = { endpoint: { address: { pipe: { path: sockets.xds } } } };
  const clusters = bootstrap.static_resources.clusters.map((cluster) =>
    cluster.name === "xds-grpc"
      ? {
          ...cluster,
          type: "STATIC",
          load_assignment: { cluster_name: "xds-grpc", endpoints: [{ lb_endpoints: [pipe] }] },
        }
      : cluster,
  );
  return {
    ...bootstrap,
    node: { cluster: "acceptance", ...node },
    admin: { address: { pipe: { path: sockets.admin } } },
    static_resources: { clusters },
    layered_runtime: {
      layers: [
        {
          name: "test",
          static_layer: { "envoy.features.fail_on_any_deprecated_feature": refusesDeprecated },
        },
      ],
    },
  };
}

/** Connects a Unix socket with a TCP address. */
function startRelay(socket: string, address: string): Promise<Server> {
  const [host = "", port = ""] = address.split(/:(?=\d+$)/);
  const server = createServer((near) => {
    const far = createConnection({ host, port: Number(port) });
    near.pipe(far).pipe(near);
    // One side's end is the other's; Envoy is killed without a word.
    near.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, () => resolve(server));
  });
}

const { certificatePem, privateKeyPem } = createSelfSigned(["workload.test"], Date.now());

/** Roots or a certificate, as the name of the secret says (src/translate/security/sds.ts). */
function makeSecret(name: string): Exclude<ReturnType<Parameters<typeof startSecretServer>[1]["find"]>, undefined> {
  const chain = { inline_bytes: Buffer.from(certificatePem) };
  if (name === "ROOTCA" || name.startsWith("file-root:")) return { name, validation_context: { trusted_ca: chain } };
  const privateKey = { inline_bytes: Buffer.from(privateKeyPem) };
  return { name, tls_certificate: { certificate_chain: chain, private_key: privateKey } };
}

// Every address of the private range becomes a local one.
const openNetwork = "ip link set lo up && ip route add local 10.0.0.0/8 dev lo";
let isolation: readonly string[] | undefined;

/** The words before a command that give it a network of its own; none where the machine does not permit that. */
function findIsolation(): readonly string[] {
  if (isolation !== undefined) return isolation;
  const ways = [
    ["unshare", "--net"],
    ["unshare", "--map-root-user", "--net"],
  ] as const;
  const way = ways.find((words) => {
    try {
      execFileSync(words[0], [...words.slice(1), "sh", "-c", openNetwork], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  });
  isolation = way === undefined ? [] : [...way, "sh", "-c", `${openNetwork} && exec "$0" "$@"`];
  return isolation;
}

function getOverSocket(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: `/${path}`, headers: { host: "envoy" } }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve(Buffer.concat(chunks).toString()));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}
