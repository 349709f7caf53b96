/** The command meltemi-proxy. */
import { readFileSync, writeFileSync } from "node:fs";
import { env } from "node:process";
import { CommanderError } from "commander";
import { destination } from "pino";
import { systemClock } from "../lib/clock.ts";
import { ConfigError } from "../lib/config-error.ts";
import type { Log } from "../lib/log.ts";
import { type StartProxyOptions, startProxy } from "../server/start-proxy.ts";
import { createLog, type ProxyLog } from "./create-log.ts";
import { type Arguments, parseArguments } from "./parse-arguments.ts";
import { readConfig, withoutPorts } from "./read-config.ts";
import { serveUntilEnd } from "./serve-until-end.ts";
import { createShortCollections } from "./short-collections.ts";

/** What the shell sees: 0 done, 1 the configuration or an address cannot be used, 2 the command line is wrong. */
type ExitCode = number;

/** Runs one command line (without node and program name) until its end, and resolves to its exit code. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  const version = readVersion();
  const parsed = parse(args, version);
  if (typeof parsed === "number") return parsed;
  const name = parsed.configPath ?? "--config-yaml";
  try {
    const created = openLog(parsed);
    const options = buildOptions(parsed, { version, created });
    if (parsed.mode === "validate") return await validate(options, name);
    return await serve(options, { parsed, log: created.log });
  } catch (cause: unknown) {
    process.stderr.write(`error initializing config '${name}': ${describe(cause)}\n`);
    return 1;
  }
}

function parse(args: readonly string[], version: string): Arguments | ExitCode {
  try {
    return parseArguments(args, version);
  } catch (cause: unknown) {
    // Commander has printed its own errors; its codes for help and version are no failures.
    if (cause instanceof CommanderError) return cause.exitCode === 0 ? 0 : 2;
    throw cause;
  }
}

function readVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { readonly version: string };
  return version;
}

function openLog({ logLevel, componentLogLevel, logFormat, logPath }: Arguments): ProxyLog {
  return createLog({
    level: logLevel,
    componentLevels: componentLogLevel,
    format: logFormat,
    // Written at once: what a process has to say at its end must not be lost.
    destination: destination({ dest: logPath ?? 2, sync: true }),
  });
}

function buildOptions(
  parsed: Arguments,
  { version, created }: { readonly version: string; readonly created: ProxyLog },
): StartProxyOptions & { readonly bootstrap: { readonly json: object } } {
  const { serviceNode, serviceCluster, serviceZone, drainTimeMs, given } = parsed;
  return {
    bootstrap: { json: readConfig(parsed) },
    nodeOverrides: { id: serviceNode, cluster: serviceCluster, zone: serviceZone },
    log: created.log,
    logLevels: created.levels,
    commandLine: given,
    version,
    // biome-ignore lint/style/noProcessEnv: the edge at which the environment comes in; nobody else reads it
    environment: (name) => env[name],
    drainTimeMs,
    longWork: createShortCollections(),
  };
}

/** Everything that the bootstrap names is compiled as it would be served. */
async function validate(
  options: StartProxyOptions & { readonly bootstrap: { readonly json: object } },
  name: string,
): Promise<ExitCode> {
  const json = withoutPorts({ ...options.bootstrap.json });
  const proxy = await startProxy({ ...options, bootstrap: { json } });
  await proxy.close();
  process.stdout.write(`configuration '${name}' OK\n`);
  return 0;
}

async function serve(
  options: StartProxyOptions,
  { parsed, log }: { readonly parsed: Arguments; readonly log: Log },
): Promise<ExitCode> {
  const proxy = await startProxy(options);
  if (parsed.adminAddressPath !== undefined && proxy.adminPort !== undefined) {
    writeFileSync(parsed.adminAddressPath, `${findAdminHost(proxy.admin.bootstrap)}:${proxy.adminPort}`);
  }
  await serveUntilEnd(proxy, { log, clock: systemClock, drainTimeMs: parsed.drainTimeMs });
  return 0;
}

function findAdminHost({
  admin,
}: {
  readonly admin?:
    | {
        readonly address?:
          | { readonly socket_address?: { readonly address?: string | undefined } | undefined }
          | undefined;
      }
    | undefined;
}): string {
  return admin?.address?.socket_address?.address ?? "";
}

function describe(cause: unknown): string {
  if (cause instanceof ConfigError) return cause.message;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
