/**
 * The companion process of a sidecar or gateway, put together: identity and secrets, the way to the control plane, DNS,
 * the proxy itself, and the port on which it answers for all of them.
 *
 * At the start, what Envoy asks for stands before Envoy does. At the end, readiness goes first, then Envoy drains and
 * ends, and only then what it used: a request in flight may still need a name, a certificate or an endpoint.
 */
import { constants } from "node:os";
import { basename, join } from "node:path";
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import type { Clock } from "../../../src/lib/clock.ts";
import type { Log } from "../../../src/lib/log.ts";
import { ConfigError } from "./config/proxy-config.ts";
import { readFileIfThere, readSettings, type Settings, type SettingsSources } from "./config/settings.ts";
import { type DnsServer, startDnsServer } from "./dns/dns-server.ts";
import { parseResolvConf } from "./dns/resolv-conf.ts";
import type { AdminClient } from "./envoy/admin.ts";
import type { EnvoyEnd } from "./envoy/envoy-process.ts";
import { createAdmin, type EnvoySockets, findLocalhost, launchEnvoy } from "./envoy/launch.ts";
import type { Supervisor } from "./envoy/supervisor.ts";
import { sendGrpcLogTo } from "./identity/grpc-log.ts";
import { isSocketServed } from "./identity/unix-socket.ts";
import type { ClientCertificate } from "./identity/upstream.ts";
import { createWorkloadSecrets, type WorkloadSecrets } from "./identity/workload-secrets.ts";
import { buildDiscoveryUpstream, findSecretSource } from "./identity-settings.ts";
import { startSdsServer } from "./sds/sds-server.ts";
import { createAgentMetrics } from "./status/agent-metrics.ts";
import { type AppProbers, parseAppProbers } from "./status/app-probers.ts";
import { type HealthCheckPlan, parseHealthChecks, runHealthChecks } from "./status/health-checks.ts";
import { mergeMetrics } from "./status/merged-metrics.ts";
import { findProbeTarget } from "./status/probe-target.ts";
import { createReadinessCheck } from "./status/readiness.ts";
import { parseScrapeTargets, type ScrapeTarget } from "./status/scrape-config.ts";
import { type StatusServer, startStatusServer } from "./status/status-server.ts";
import { startXdsProxy, type XdsProxy } from "./xds-proxy/xds-proxy.ts";

export interface AgentOptions extends SettingsSources {
  readonly logAsJson: boolean;
  /** A random number, at least 0 and less than 1. */
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

/** How the agent ended. */
export interface AgentEnd {
  /** For the shell: 0 where it was asked to end, or else Envoy's own, 128 and more for a signal. */
  readonly exitCode: number;
  readonly reason: string;
}

export interface Agent {
  /** The port of readiness, metrics and probes. */
  readonly statusPort: number;
  /** Resolves when all has ended, for whatever reason. */
  readonly ended: Promise<AgentEnd>;
  /** Drains and ends; a second call changes nothing. */
  terminate(): void;
}

const secretsDirectory = "./var/run/secrets/workload-spiffe-uds";
const filesSocket = "./var/run/secrets/credential-uds/files-socket";
const credentialsSocket = "./var/run/secrets/credential-uds/socket";
/** Revocations of the mesh's roots (the ConfigMap istio-ca-crl). */
const revocationsFile = "./var/run/secrets/istio/crl/ca-crl.pem";

/**
 * Rejects with ConfigError where the settings cannot be meant, and where a port or socket cannot be had; then nothing is
 * left running.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const settings = readSettings(options);
  const { log } = options;
  for (const name of settings.invalid) log.warn("a variable cannot be understood and has its default", { name });
  sendGrpcLogTo(log);
  const closers: Closer[] = [];
  try {
    return await start({ ...options, settings, startMs: options.clock.monotonic() }, closers);
  } catch (cause) {
    await close(closers, log);
    throw cause;
  }
}

type Closer = () => unknown;

interface Run extends AgentOptions {
  readonly settings: Settings;
  /** On the monotonic clock. */
  readonly startMs: number;
}

/** Ends what was started, the last first; what fails does not keep the others from ending. */
async function close(closers: Closer[], log: Log): Promise<void> {
  for (const end of closers.splice(0).reverse()) {
    try {
      await end();
    } catch (error: unknown) {
      log.warn("a part of the agent did not end in order", { error });
    }
  }
}

async function start(run: Run, closers: Closer[]): Promise<Agent> {
  const { settings, log, clock } = run;
  // Mistakes in what the injector wrote end the agent before anything starts.
  const sidecar = readSidecarParts(settings);
  const parts = await startParts(run, closers);
  const admin = createAdmin(settings, clock);
  const supervisor = launchEnvoy({ ...run, sockets: parts.sockets }, admin);
  closers.push(async () => {
    supervisor.skipDrain();
    await supervisor.terminate();
  });
  let isAsked = false;
  const terminate = (): void => {
    if (isAsked) return;
    isAsked = true;
    void supervisor.terminate();
  };
  const quit = (): void => {
    supervisor.skipDrain();
    terminate();
  };
  const status = await startStatus(run, { ...parts, ...sidecar, supervisor, admin, quit });
  closers.push(() => status.stop());
  closers.push(startHealthChecks(run, { ...parts, ...sidecar, supervisor, admin, quit }));
  const ended = supervisor.ended.then(async (end) => {
    await close(closers, log);
    return isAsked ? { exitCode: 0, reason: "asked to end" } : describeEnd(end);
  });
  return { statusPort: status.port, ended, terminate };
}

interface SidecarParts {
  readonly probers: AppProbers;
  /** Undefined in Kubernetes, where the kubelet asks the application. */
  readonly health: HealthCheckPlan | undefined;
  readonly targets: readonly ScrapeTarget[];
}

/** A gateway's port 15020 may be open to the world: it tells nothing of other ports. */
function readSidecarParts({ type, variables, config }: Settings): SidecarParts {
  const probers = parseAppProbers(variables.appProbers);
  const health = parseHealthChecks(config.fields);
  if (type !== "sidecar") return { probers, health, targets: [] };
  return { probers, health, targets: parseScrapeTargets(variables.prometheusAnnotations, config.statusPort) };
}

/** What Envoy asks for. */
interface Parts {
  readonly dns: DnsServer | undefined;
  readonly secrets: WorkloadSecrets;
  readonly xds: XdsProxy;
  readonly sockets: EnvoySockets;
}

async function startParts(run: Run, closers: Closer[]): Promise<Parts> {
  const { settings, clock, log } = run;
  const { variables, config } = settings;
  if (variables.workloadSocketFile !== basename(variables.workloadSocketFile)) {
    throw new ConfigError("WORKLOAD_IDENTITY_SOCKET_FILE must be a file's name, not a path");
  }
  const secretsSocket = join(secretsDirectory, variables.workloadSocketFile);
  if (variables.workloadSocketFile !== "socket" && !(await isSocketServed(secretsSocket))) {
    throw new ConfigError(`WORKLOAD_IDENTITY_SOCKET_FILE: nobody serves secrets at ${secretsSocket}`);
  }
  const secrets = createSecrets(run);
  closers.push(() => secrets.stop());
  const { fileDebounceMs } = variables;
  const paths = { socketPath: secretsSocket, filesSocketPath: filesSocket, revocationsFile };
  const sds = await startSdsServer({ ...paths, secrets, fileDebounceMs, clock, log });
  closers.push(() => sds.stop());
  if (!sds.isFilesOnly) void secrets.start();

  const dns = await startDns(run);
  if (dns !== undefined) closers.push(() => dns.stop());
  const xdsSocket = join(config.configPath, "XDS");
  const upstream = buildDiscoveryUpstream(settings, { clock, log }, () => findMountedCertificate(settings, secrets));
  const names = dns === undefined ? {} : { onNameTable: (table: NameTable) => dns.setTable(table) };
  const xds = await startXdsProxy({ socketPath: xdsSocket, upstream, ...names, log });
  closers.push(() => xds.stop());
  const sockets = {
    xds: xdsSocket,
    secrets: secretsSocket,
    files: sds.isFilesOnly ? sds.socketPath : undefined,
    hasCredentials: await isSocketServed(credentialsSocket),
  };
  return { dns, secrets, xds, sockets };
}

function createSecrets({ settings, clock, log, random }: Run): WorkloadSecrets {
  const { variables } = settings;
  return createWorkloadSecrets({
    source: findSecretSource(settings, { clock, log }),
    gracePeriodRatio: variables.graceRatio,
    gracePeriodJitter: variables.graceRatioJitter,
    jitter: random,
    fileDebounceMs: variables.fileDebounceMs,
    outputDirectory: variables.outputCerts,
    clock,
    log,
  });
}

/** With files in the place of the CA, the workload's certificate is also what the agent shows to the control plane. */
function findMountedCertificate({ variables }: Settings, secrets: WorkloadSecrets): ClientCertificate | undefined {
  return variables.fileMountedCerts ? secrets.current() : undefined;
}

async function startDns({ settings, clock, log }: Run): Promise<DnsServer | undefined> {
  const { variables, type, domain } = settings;
  if (!(variables.dnsCapture && type === "sidecar") && !variables.dnsServer) return undefined;
  const resolvConf = parseResolvConf(readFileIfThere("/etc/resolv.conf") ?? "");
  return startDnsServer({
    address: variables.dnsAddress,
    proxyNamespace: variables.podNamespace,
    proxyDomain: domain,
    resolvConf,
    forwardParallel: variables.dnsForwardParallel,
    forwardTimeoutMs: variables.dnsForwardTimeoutMs,
    clock,
    log,
  });
}

interface StatusParts extends Parts, SidecarParts {
  readonly supervisor: Supervisor;
  readonly admin: AdminClient;
  readonly quit: () => void;
}

function startStatus(run: Run, parts: StatusParts): Promise<StatusServer> {
  const { settings, clock, log: allLog, startMs } = run;
  const { variables, config, flags } = settings;
  const { supervisor, dns, secrets, xds } = parts;
  const log = allLog.child({ component: "status" });
  const metrics = createAgentMetrics({
    gauges: {
      certificateEndMs: () => secrets.current()?.notAfterMs,
      isConnected: () => xds.isConnected(),
      streams: () => xds.counters(),
      names: () => dns?.counts(),
    },
    now: () => clock.now(),
  });
  const merged = {
    metrics,
    host: findLocalhost(settings),
    envoyPort: variables.mergeEnvoyMetrics ? variables.envoyPrometheusPort : undefined,
    targets: parts.targets,
    clock,
    log,
  };
  return startStatusServer({
    host: flags.listenAddress === "" ? "::" : flags.listenAddress,
    port: config.statusPort,
    checkReadiness: createReadinessCheck({
      admin: parts.admin,
      isEnding: supervisor.isEnding,
      hasNames: () => dns?.isReady() ?? true,
      onReady: () => metrics.setStartupSeconds((clock.monotonic() - startMs) / 1000),
    }),
    readMetrics: (asked) => mergeMetrics(merged, asked),
    hasLocalMetrics: variables.metricsLocalhostOnly,
    probers: parts.probers,
    probeTarget: findProbeTarget(variables.instanceIp, variables.localhostProbes),
    drain: () => void supervisor.drain(),
    quit: parts.quit,
    readNameTable: () => {
      const table = dns?.describe();
      return table === undefined ? undefined : JSON.stringify(table);
    },
    clock,
    log,
  });
}

/** Tells the control plane of the application's health, where nobody else asks; the answer ends that. */
function startHealthChecks({ settings, clock, log: allLog }: Run, parts: StatusParts): () => void {
  const end = new AbortController();
  const { health: plan, supervisor, dns, xds } = parts;
  if (plan === undefined) return () => undefined;
  const { variables } = settings;
  const log = allLog.child({ component: "health" });
  const checking = runHealthChecks({
    plan,
    target: findProbeTarget(variables.instanceIp, variables.localhostProbes),
    checkReadiness: createReadinessCheck({
      admin: parts.admin,
      isEnding: supervisor.isEnding,
      hasNames: () => dns?.isReady() ?? true,
      onReady: () => undefined,
    }),
    report: (problem) =>
      xds.reportHealth(problem === undefined ? { isHealthy: true } : { isHealthy: false, message: problem }),
    signal: end.signal,
    clock,
    log,
  });
  checking.catch((error: unknown) => log.error("the application's health is no longer looked at", { error }));
  return () => end.abort();
}

/** Envoy ended by itself: Kubernetes learns of it by the agent's code and starts the container again. */
function describeEnd(end: EnvoyEnd): AgentEnd {
  switch (end.kind) {
    case "exited":
      return { exitCode: end.code, reason: `Envoy ended with code ${end.code}` };
    case "not-started":
      return { exitCode: 1, reason: `Envoy could not be started: ${end.reason}` };
    case "signalled": {
      const hint = end.signal === "SIGKILL" ? ", perhaps for want of memory" : "";
      const numbers: Readonly<Record<string, number>> = constants.signals;
      return { exitCode: 128 + (numbers[end.signal] ?? 0), reason: `Envoy was ended by ${end.signal}${hint}` };
    }
  }
}
