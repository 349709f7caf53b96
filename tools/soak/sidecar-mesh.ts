/**
 * A control plane and sidecars with real Envoys on the loopback addresses: each sidecar's agent part gets its certificate
 * over CreateCertificate and renews it, Envoy has secrets and configuration from the agent's Unix sockets alone, and all
 * traffic between sidecars is mutual TLS. As on a machine outside Kubernetes each certificate pays for the next.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProvisionedCertificate } from "../../packages/agent/src/identity/credential-files.ts";
import type { UpstreamOptions } from "../../packages/agent/src/identity/upstream.ts";
import { readText } from "../../packages/agent/src/identity/watched-files.ts";
import { createWorkloadSecrets, type WorkloadSecrets } from "../../packages/agent/src/identity/workload-secrets.ts";
import { type SdsServer, startSdsServer } from "../../packages/agent/src/sds/sds-server.ts";
import { startXdsProxy, type XdsProxy } from "../../packages/agent/src/xds-proxy/xds-proxy.ts";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { type Authority, createRootAuthority, issueWorkloadCertificate } from "../../src/ca/authority.ts";
import { createFileAuthorityStore } from "../../src/ca/authority-files.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Log } from "../../src/lib/log.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { type EnvoyProcess, eventually, startEnvoy } from "../../test/envoy/envoy-process.ts";
import { startUpstream, type Upstream } from "../../test/envoy/upstreams.ts";
import { startTestControlPlane } from "../../test/support/control-plane.ts";
import { findFreePort, findFreePorts } from "../free-ports.ts";
import { replaceAuthority } from "./replace-authority.ts";

export interface SidecarMeshOptions {
  readonly sidecars: number;
  /** Of certificates as they are asked for, whole seconds. */
  readonly lifetimeMs: number;
  /** Part of it that is left when they are renewed. */
  readonly gracePeriodRatio: number;
  readonly log: Log;
}

export interface Sidecar {
  readonly name: string;
  /** Its inbound listener, which takes mutual TLS alone. */
  readonly address: string;
  readonly inboundPort: number;
  /** Requests of its application go here, as to an HTTP proxy, on the loopback address. */
  readonly proxyPort: number;
  /** The application behind it. */
  readonly application: Upstream;
  readonly secrets: WorkloadSecrets;
  readonly xds: XdsProxy;
  readonly envoy: EnvoyProcess;
  /** Certificates that were put into use so far, by the text of the chain. */
  readonly certificates: ReadonlySet<string>;
}

export interface SidecarMesh {
  readonly sidecars: readonly Sidecar[];
  /** Host of a sidecar's service, with its port. */
  hostOf(sidecar: Sidecar): string;
  /** Ends the control plane, and starts another one on the same port. */
  restartControlPlane(whileAway?: () => Promise<void>): Promise<void>;
  /** In the order of check 24: the next root is believed, then it signs, then the last one goes; see replace-authority.ts. */
  rotateRoot(): Promise<void>;
  stop(): Promise<void>;
}

const dayMs = 86_400_000;

interface Ground {
  readonly folder: string;
  readonly authorityDirectory: string;
  readonly rootsFile: string;
  readonly authority: Authority;
  /** Of the control plane's port for xDS over TLS. */
  readonly port: number;
  readonly inboundPort: number;
  readonly applications: readonly Upstream[];
  readonly options: SidecarMeshOptions;
}

/** Resolves when every sidecar serves. Rejects where one does not, and leaves nothing behind. */
export async function startSidecarMesh(options: SidecarMeshOptions): Promise<SidecarMesh> {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-sidecars-"));
  const authorityDirectory = join(folder, "ca");
  const local = { organization: "cluster.local", rootLifetimeMs: dayMs, clock: systemClock };
  const authority = await createFileAuthorityStore(authorityDirectory, local).load();
  const [port = 0, inboundPort = 0] = await findFreePorts(2);
  const applications: Upstream[] = [];
  const rootsFile = join(authorityDirectory, "root-cert.pem");
  const ground = { folder, authorityDirectory, rootsFile, authority, port, inboundPort, applications, options };
  const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    for (let index = 1; index <= options.sidecars; index += 1) {
      const application = await startUpstream(nameOf(index));
      applications.push(application);
      closers.push(() => application.stop());
    }
    let controlPlane = await startPlane(ground);
    closers.push(() => controlPlane.stop());
    const sidecars: Sidecar[] = [];
    for (const application of applications) sidecars.push(await startSidecar(ground, application, closers));
    for (const { envoy, name } of sidecars) await waitForPeer(envoy, name);
    return {
      sidecars,
      hostOf: ({ name }) => `${hostOf(name)}:${inboundPort}`,
      async restartControlPlane(whileAway) {
        await controlPlane.stop();
        await whileAway?.();
        controlPlane = await startPlane(ground);
      },
      async rotateRoot() {
        const next = await createRootAuthority({
          organization: "cluster.local",
          lifetimeMs: dayMs,
          nowMs: systemClock.now(),
        });
        const read = (): readonly string[] => sidecars.map(({ secrets }) => secrets.current()?.roots ?? "");
        await replaceAuthority({
          directory: authorityDirectory,
          next,
          trusted: read,
          chains: () => listChains(sidecars),
        });
      },
      stop,
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

const listChains = (sidecars: readonly Sidecar[]): readonly string[] =>
  sidecars.map(({ secrets }) => secrets.current()?.chain ?? "");

const nameOf = (index: number): string => `app-${index}`;
const hostOf = (name: string): string => `${name}.shop.internal`;
const addressOf = (index: number): string => `127.0.1.${index}`;

/** Envoy serves its inbound port when it has the secrets, which may be after it says that it is ready. */
function waitForPeer(envoy: EnvoyProcess, name: string): Promise<void> {
  return eventually(`${name} serves`, async () => {
    const listeners = await envoy.admin("listeners?format=json");
    return listeners.includes("127.0.1.") && (await envoy.stat("listener_manager.total_listeners_warming")) === 0;
  });
}

async function startPlane({
  authorityDirectory,
  port,
  inboundPort,
  applications,
  options,
}: Ground): Promise<ControlPlane> {
  const source = createMemorySource();
  const objects = [
    strictTls,
    shortConnections,
    ...applications.flatMap(({ port: own }, index) => describeApp(index + 1, own, inboundPort)),
  ];
  const problems = source.apply(objects.map((object) => JSON.stringify(object)).join("\n---\n"));
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return startTestControlPlane({
    source,
    log: options.log,
    options: { secureGrpcAddr: `127.0.0.1:${port}`, rootCaDir: authorityDirectory },
  });
}

const strictTls = {
  apiVersion: "security.istio.io/v1",
  kind: "PeerAuthentication",
  metadata: { name: "default", namespace: "istio-system" },
  spec: { mtls: { mode: "STRICT" } },
};

/** So that certificates are shown again and again, and not only those that a connection began with. */
const shortConnections = {
  apiVersion: "networking.istio.io/v1",
  kind: "DestinationRule",
  metadata: { name: "short-connections", namespace: "shop" },
  spec: {
    host: "*.shop.internal",
    trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 10 } } },
  },
};

function describeApp(index: number, ownPort: number, inboundPort: number): readonly object[] {
  const name = nameOf(index);
  const port = { number: inboundPort, name: "http", protocol: "HTTP" };
  const labels = { app: name, "security.istio.io/tlsMode": "istio" };
  return [
    {
      apiVersion: "networking.istio.io/v1",
      kind: "ServiceEntry",
      metadata: meta(name),
      spec: {
        ...{ hosts: [hostOf(name)], location: "MESH_INTERNAL", resolution: "STATIC", ports: [port] },
        endpoints: [{ address: addressOf(index), serviceAccount: name, labels }],
      },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "Sidecar",
      metadata: meta(name),
      spec: {
        workloadSelector: { labels: { app: name } },
        ingress: [{ port, bind: addressOf(index), defaultEndpoint: `127.0.0.1:${ownPort}` }],
        egress: [{ hosts: ["./*"] }],
      },
    },
  ];
}

const meta = (name: string) => ({ name, namespace: "shop" });

async function startSidecar(ground: Ground, application: Upstream, closers: (() => unknown)[]): Promise<Sidecar> {
  const { options, inboundPort } = ground;
  const { log } = options;
  const index = ground.applications.indexOf(application) + 1;
  const name = nameOf(index);
  const folder = join(ground.folder, name);
  const upstream = await describeUpstream(ground, name);
  const secrets = createWorkloadSecrets({
    source: {
      kind: "authority",
      upstream,
      identity: identityOf(name),
      key: { kind: "ecdsa", curve: "P-256" },
      isPkcs8: false,
      lifetimeMs: options.lifetimeMs,
      certSigner: "",
      rootsFile: ground.rootsFile,
    },
    gracePeriodRatio: options.gracePeriodRatio,
    gracePeriodJitter: 0.01,
    jitter: Math.random,
    fileDebounceMs: 100,
    outputDirectory: folder,
    ...{ clock: systemClock, log },
  });
  const certificates = new Set<string>();
  secrets.onChange(() => certificates.add(secrets.current()?.chain ?? ""));
  closers.push(() => secrets.stop());
  const sds: SdsServer = await startSdsServer({
    socketPath: join(folder, "sds"),
    filesSocketPath: join(folder, "files"),
    ...{ secrets, fileDebounceMs: 100, clock: systemClock, log },
  });
  closers.push(() => sds.stop());
  await secrets.start();
  const xds = await startXdsProxy({ socketPath: join(folder, "xds"), upstream, log });
  closers.push(() => xds.stop());
  const proxyPort = await findFreePort();
  const envoy = await startEnvoy({
    ...{ name, namespace: "shop", serviceAccount: name, labels: { app: name }, delta: true },
    ip: addressOf(index),
    discovery: { host: "127.0.0.1", port: 1 },
    httpProxyPort: proxyPort,
    xdsSocket: join(folder, "xds"),
    secretsSocket: sds.socketPath,
  });
  closers.push(envoy.stop);
  return { name, address: addressOf(index), inboundPort, proxyPort, application, secrets, xds, envoy, certificates };
}

const identityOf = (name: string) => ({ trustDomain: "cluster.local", namespace: "shop", serviceAccount: name });

/** The first certificate comes with the machine (PROV_CERT), the others are written over it (OUTPUT_CERTS). */
async function describeUpstream(ground: Ground, name: string): Promise<UpstreamOptions> {
  const folder = join(ground.folder, name);
  const { log } = ground.options;
  const lifetime = { lifetimeMs: dayMs, nowMs: systemClock.now() };
  const first = await issueWorkloadCertificate(ground.authority, { identity: identityOf(name), ...lifetime });
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, "cert-chain.pem"), first.chain, { mode: 0o600 });
  writeFileSync(join(folder, "key.pem"), first.privateKey.reveal(), { mode: 0o600 });
  return {
    address: `127.0.0.1:${ground.port}`,
    serverName: "localhost",
    roots: () => readText(ground.rootsFile) ?? "",
    token: async () => undefined,
    clientCertificate: createProvisionedCertificate({ directory: folder, clock: systemClock, log }),
    clusterId: "Kubernetes",
    headers: {},
  };
}
