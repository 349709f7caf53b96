/** The command line, in Envoy's flags. */
import { Command, InvalidArgumentError, Option } from "commander";
import { logLevelNames } from "./create-log.ts";

export interface Arguments {
  readonly configPath: string | undefined;
  readonly configYaml: string | undefined;
  readonly mode: "serve" | "validate";
  readonly logLevel: string;
  /** As "upstream:debug,http:trace". */
  readonly componentLogLevel: string;
  readonly logFormat: "json" | "text";
  readonly logPath: string | undefined;
  readonly serviceCluster: string | undefined;
  readonly serviceNode: string | undefined;
  readonly serviceZone: string | undefined;
  /** File into which the address of the administration pages is written. */
  readonly adminAddressPath: string | undefined;
  /** Undefined where not given. */
  readonly drainTimeMs: number | undefined;
  /** As "tag:value". */
  readonly statsTags: readonly string[];
  /** Everything as given, in the form of /server_info. */
  readonly given: Readonly<Record<string, unknown>>;
}

/** Flags of Envoy that are taken and change nothing, as there is one thread and no hot restart. */
const ignoredFlags = [
  "--base-id <number>",
  "--use-dynamic-base-id",
  "--base-id-path <path>",
  "--concurrency <number>",
  "--disable-hot-restart",
  "--restart-epoch <number>",
  "--parent-shutdown-time-s <seconds>",
  "--skip-hot-restart-on-no-parent",
  "--skip-hot-restart-parent-stats",
  "--drain-strategy <strategy>",
  "--local-address-ip-version <version>",
  "--file-flush-interval-msec <milliseconds>",
  "--file-flush-min-size-kb <kilobytes>",
  "--allow-unknown-fields",
  "--allow-unknown-static-fields",
  "--reject-unknown-dynamic-fields",
  "--ignore-unknown-dynamic-fields",
  "--skip-deprecated-logs",
  "--log-format-escaped",
  "--enable-fine-grain-logging",
  "--enable-mutex-tracing",
  "--cpuset-threads",
  "--socket-path <path>",
  "--socket-mode <mode>",
] as const;

/** Reads a command line without node and program name. Throws CommanderError, also for --help and --version. */
export function parseArguments(args: readonly string[], version: string): Arguments {
  const command = createCommand(version);
  command.parse([...args], { from: "user" });
  const given = command.opts<Given>();
  if (given.configPath === undefined && given.configYaml === undefined) {
    command.error("error: at least one of --config-path and --config-yaml is required");
  }
  return {
    configPath: given.configPath,
    configYaml: given.configYaml,
    mode: given.mode,
    logLevel: given.logLevel,
    componentLogLevel: given.componentLogLevel ?? "",
    // Envoy's own patterns say how a line of text looks: that is decided here.
    logFormat: given.logFormat === "json" ? "json" : "text",
    logPath: given.logPath,
    serviceCluster: given.serviceCluster,
    serviceNode: given.serviceNode,
    serviceZone: given.serviceZone,
    adminAddressPath: given.adminAddressPath,
    drainTimeMs: given.drainTimeS === undefined ? undefined : given.drainTimeS * 1000,
    statsTags: given.statsTag ?? [],
    given: describeOptions(given),
  };
}

interface Given {
  readonly configPath?: string;
  readonly configYaml?: string;
  readonly mode: "serve" | "validate";
  readonly logLevel: string;
  readonly componentLogLevel?: string;
  readonly logFormat?: string;
  readonly logPath?: string;
  readonly serviceCluster?: string;
  readonly serviceNode?: string;
  readonly serviceZone?: string;
  readonly adminAddressPath?: string;
  readonly drainTimeS?: number;
  readonly statsTag?: readonly string[];
}

function createCommand(version: string): Command {
  const command = new Command("meltemi-proxy")
    .description("A proxy that takes Envoy's configuration, by file or from a control plane.")
    .version(`meltemi-proxy  version: ${version}/node-${process.versions.node}`, "--version", "print the version")
    .option("-c, --config-path <path>", "the bootstrap: Envoy's, in JSON or YAML")
    .option("--config-yaml <text>", "a bootstrap as text; merged over that of the file")
    .addOption(new Option("--mode <mode>", "what to do").choices(["serve", "validate"]).default("serve"))
    .addOption(new Option("-l, --log-level <level>", "how much is logged").choices([...logLevelNames]).default("info"))
    .option("--component-log-level <levels>", "levels of single loggers, as upstream:debug,http:trace")
    .option("--log-format <format>", "json, or anything else for lines of text")
    .option("--log-path <path>", "a file for the log, in place of standard error")
    .option("--service-cluster <name>", "the cluster of this proxy's node")
    .option("--service-node <id>", "the id of this proxy's node")
    .option("--service-zone <zone>", "the zone of this proxy's node")
    .option("--admin-address-path <path>", "a file into which the address of the administration pages is written")
    .option("--drain-time-s <seconds>", "how long connections may go on when a listener goes", parseSeconds)
    .option("--stats-tag <tag...>", "a label for all statistics, as name:value")
    .exitOverride();
  for (const flag of ignoredFlags)
    command.addOption(new Option(flag, "taken for Envoy's sake, without effect").hideHelp());
  return command;
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(seconds))
    throw new InvalidArgumentError("It must be a whole number.");
  return seconds;
}

/** What Envoy prints otherwise than it was given: numbers, durations and names of enumerations. */
const printed: Readonly<Record<string, (value: string) => readonly [name: string, value: unknown]>> = {
  concurrency: (value) => ["concurrency", Number(value)],
  restartEpoch: (value) => ["restart_epoch", Number(value)],
  drainTimeS: (value) => ["drain_time", `${value}s`],
  parentShutdownTimeS: (value) => ["parent_shutdown_time", `${value}s`],
  fileFlushIntervalMsec: (value) => ["file_flush_interval", `${Number(value) / 1000}s`],
  drainStrategy: (value) => ["drain_strategy", capitalize(value)],
  mode: (value) => ["mode", capitalize(value)],
};

/** As envoy.admin.v3.CommandLineOptions in JSON. */
function describeOptions(given: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => printed[name]?.(String(value)) ?? [toSnakeCase(name), value]),
  );
}

const toSnakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const capitalize = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
