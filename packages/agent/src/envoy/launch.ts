/** From the settings to a running Envoy. */
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import { findLocalAddresses } from "../config/addresses.ts";
import { buildNode, type ProxyNode } from "../config/node.ts";
import { ConfigError } from "../config/proxy-config.ts";
import { readFileIfThere, type Settings } from "../config/settings.ts";
import { type AdminClient, createAdminClient } from "./admin.ts";
import { buildArguments, convertOverride } from "./arguments.ts";
import { buildBootstrap } from "./bootstrap.ts";
import { startEnvoyProcess } from "./envoy-process.ts";
import { type Supervisor, superviseEnvoy } from "./supervisor.ts";
import { writeBootstrap } from "./write-bootstrap.ts";

export interface EnvoySockets {
  readonly xds: string;
  readonly secrets: string;
  /** Where the agent serves files, when somebody else serves the workload's secrets. */
  readonly files: string | undefined;
  /** Somebody else serves secrets of gateways. */
  readonly hasCredentials: boolean;
}

export interface LaunchOptions {
  readonly settings: Settings;
  readonly sockets: EnvoySockets;
  readonly logAsJson: boolean;
  readonly clock: Clock;
  readonly log: Log;
}

export function createAdmin(settings: Settings, clock: Clock): AdminClient {
  return createAdminClient({ host: findLocalhost(settings), port: settings.config.proxyAdminPort, clock });
}

/** The loopback address on which the agent and Envoy meet. */
export function findLocalhost({ addresses, variables }: Settings): string {
  return findLocalAddresses({ addresses, isDualStack: variables.dualStack }).localhost;
}

/** Writes the bootstrap and starts Envoy. Throws ConfigError where the settings do not make one. */
export function launchEnvoy(options: LaunchOptions, admin: AdminClient): Supervisor {
  const { settings, clock, log } = options;
  const { config, variables, flags, families, type } = settings;
  const override = readOverride(settings);
  const args = buildArguments({
    bootstrap: prepareBootstrap(options),
    config,
    isIpv6: families === "ipv6",
    logLevel: flags.proxyLogLevel,
    componentLogLevel: flags.proxyComponentLogLevel,
    skipsDeprecatedLogs: variables.skipDeprecatedLogs,
    dumpsCore: variables.coreDumps,
    override,
  });
  const binaryPath = flags.binaryPath === "" ? config.binaryPath : flags.binaryPath;
  log.info("starting Envoy", { binary: binaryPath, arguments: args.join(" ") });
  return superviseEnvoy({
    envoy: startEnvoyProcess({ binaryPath, args, environment: settings.environment }),
    admin,
    isSidecar: type === "sidecar",
    terminationDrainMs: config.terminationDrainDurationMs,
    minimumDrainMs: variables.minimumDrainMs,
    exitsOnZeroConnections: variables.exitOnZeroConnections,
    ownPorts: [
      variables.envoyStatusPort,
      variables.envoyPrometheusPort,
      variables.secureMetricsPort,
      variables.secureMergedMetricsPort,
    ].filter((port) => port !== 0),
    clock,
    log,
  });
}

/** A whole configuration of the user's own (customConfigFile) is taken as it is. */
function prepareBootstrap(options: LaunchOptions): string {
  const { config } = options.settings;
  const custom = config.fields["customConfigFile"];
  if (typeof custom === "string" && custom !== "") return custom;
  return writeBootstrap(config.configPath, buildAgentBootstrap(options));
}

/** The bootstrap that the settings make. */
export function buildAgentBootstrap({ settings, sockets, logAsJson }: Omit<LaunchOptions, "clock" | "log">) {
  const { config, variables, flags, addresses } = settings;
  return buildBootstrap({
    node: describeNode(settings, sockets),
    config,
    addresses,
    isDualStack: variables.dualStack,
    listenAddress: flags.listenAddress,
    hostIp: variables.hostIp,
    statusPort: variables.envoyStatusPort,
    prometheusPort: variables.envoyPrometheusPort,
    secureMetricsPort: variables.secureMetricsPort,
    secureMergedMetricsPort: variables.secureMergedMetricsPort,
    takesProxyProtocol: variables.statusProxyProtocol,
    countsConnections: variables.exitOnZeroConnections,
    stripsFragments: variables.stripFragment,
    compliancePolicy: variables.compliancePolicy,
    xdsSocket: sockets.xds,
    secretsSocket: sockets.secrets,
    filesSocket: sockets.files,
    logAsJson,
    outlierLogPath: flags.outlierLogPath,
  });
}

function describeNode(settings: Settings, { files, hasCredentials }: EnvoySockets): ProxyNode {
  return buildNode({
    ...settings,
    outlierLogPath: settings.flags.outlierLogPath,
    hasCredentialSocket: hasCredentials,
    servesOnlyFiles: files !== undefined,
  });
}

function readOverride({ variables }: Settings): string {
  const { bootstrapOverride, hostIp } = variables;
  if (bootstrapOverride === "") return "";
  const text = readFileIfThere(bootstrapOverride);
  if (text === undefined) throw new ConfigError(`ISTIO_BOOTSTRAP_OVERRIDE: ${bootstrapOverride} cannot be read`);
  return convertOverride(text, hostIp);
}
