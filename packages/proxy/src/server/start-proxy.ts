/** The composition root: a proxy from its bootstrap. */
import { readFile } from "node:fs/promises";
import type { NodeOverrides } from "../config/build-node.ts";
import { type ReadBootstrap, readBootstrap } from "../config/read-bootstrap.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { type Log, silentLog } from "../lib/log.ts";
import type { LongWork } from "../lib/long-work.ts";
import { ProxyServer } from "./proxy-server.ts";
import type { LogLevels, RunningProxy } from "./types.ts";
import { loadVersionHash } from "./version-hash.ts";

export interface StartProxyOptions {
  /** Envoy's bootstrap: JSON or YAML text, the path of a file with it, or what was parsed from it. */
  readonly bootstrap: { readonly text: string } | { readonly path: string } | { readonly json: object };
  readonly nodeOverrides?: NodeOverrides | undefined;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly logLevels?: LogLevels | undefined;
  /** At least 0 and less than 1. */
  readonly random?: () => number;
  /** Shown by /server_info. */
  readonly commandLine?: Readonly<Record<string, unknown>>;
  /** As "1.2.3". */
  readonly version?: string;
  /** Reads a variable of the environment, for access logs that ask for one. */
  readonly environment?: ((name: string) => string | undefined) | undefined;
  /** How long connections of a listener that goes may go on, in milliseconds; 600,000 where not given. */
  readonly drainTimeMs?: number | undefined;
  /** Told while a long answer of a control plane is taken over, and while connections come and go by the hundreds. */
  readonly longWork?: LongWork | undefined;
}

const defaultVersion = "0.1.0";

/**
 * Starts a proxy. Resolves when what the bootstrap names itself is taken over and administration pages answer; what comes
 * from a control plane comes later (`live`). Rejects, having ended everything, with ConfigError for a bootstrap that
 * cannot be used, and with the system's error for an address that cannot be listened on.
 */
export async function startProxy(options: StartProxyOptions): Promise<RunningProxy> {
  const { bootstrap, notes } = await read(options.bootstrap);
  const log = options.log ?? silentLog;
  for (const note of notes) log.info("A part of the bootstrap has no effect", { ...note });
  const server = new ProxyServer({
    bootstrap,
    nodeOverrides: options.nodeOverrides,
    clock: options.clock ?? systemClock,
    log,
    logLevels: options.logLevels ?? { set: () => false, list: () => new Map() },
    random: options.random ?? Math.random,
    commandLine: options.commandLine ?? {},
    version: options.version ?? defaultVersion,
    hash: await loadVersionHash(),
    environment: options.environment,
    drainTimeMs: options.drainTimeMs,
    longWork: options.longWork,
  });
  try {
    await server.begin();
  } catch (cause: unknown) {
    await server.close();
    throw cause;
  }
  return server;
}

async function read(source: StartProxyOptions["bootstrap"]): Promise<ReadBootstrap> {
  if ("json" in source) return readBootstrap(source.json);
  return readBootstrap("text" in source ? source.text : await readFile(source.path, "utf8"));
}
