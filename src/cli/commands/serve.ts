import { statSync } from "node:fs";
import { Command, Option } from "commander";
import { readEnvironment } from "../../config/env.ts";
import type { AnyFlag } from "../../config/flag.ts";
import {
  describeFlag,
  type FlagKey,
  type Flags,
  flagTable,
  type GivenOptions,
  resolveFlags,
} from "../../config/flags.ts";
import { CommandFailure, UsageError } from "../failures.ts";

export function createServeCommand(): Command {
  const command = new Command("serve").description(
    "Run the control plane: read the mesh from Kubernetes or a directory and configure the proxies that connect.",
  );
  for (const [key, flag] of listFlags()) addFlag(command, key, flag);
  return command
    .addHelpText("after", describeEnvironment())
    .action(async (given: Readonly<Record<string, string | true>>) => {
      const { flags, problems } = resolveFlags(mergeSpellings(given), readEnvironment());
      if (problems.length > 0) throw new UsageError(problems.join("\nerror: "));
      if (flags.configDir !== "") checkConfigDir(flags.configDir);
      await serve(flags);
    });
}

async function serve(flags: Flags): Promise<void> {
  // Loaded only here: the other commands and all help texts need none of it and answer in a moment.
  const { createLog } = await import("../../bootstrap/log.ts");
  const { serveUntilSignal } = await import("../../bootstrap/serve.ts");
  const log = createLog({ level: flags.logLevel, json: flags.logAsJson });
  try {
    await serveUntilSignal(flags, log);
  } catch (cause) {
    throw new CommandFailure(describeStartFailure(cause), { cause });
  }
}

const listFlags = (): readonly (readonly [FlagKey, AnyFlag])[] =>
  Object.entries(flagTable).map(([key, flag]) => [key as FlagKey, flag]);

/** Commander keeps each spelling under its own attribute; `spellingKey` tells them apart. */
function addFlag(command: Command, key: FlagKey, flag: AnyFlag): void {
  if (flag.name === undefined) return;
  const letter = flag.letter === undefined ? "" : `-${flag.letter}, `;
  const value = flag.type === "boolean" ? "[true|false]" : `<${flag.type}>`;
  for (const [index, name] of [flag.name, ...(flag.aliases ?? [])].entries()) {
    const option = new Option(`${index === 0 ? letter : ""}--${name} ${value}`, describeFlag(flag));
    if (index > 0) option.hideHelp();
    option.attributeName = () => spellingKey(key, index);
    command.addOption(option);
  }
}

const spellingKey = (key: FlagKey, index: number): string => (index === 0 ? key : `${key}~${index}`);

/** A boolean option without a value is `true` to commander. */
function mergeSpellings(given: Readonly<Record<string, string | true>>): GivenOptions {
  const entries = Object.entries(given).map(([spelling, text]) => [spelling.split("~")[0], String(text)]);
  return Object.fromEntries(entries);
}

function describeEnvironment(): string {
  const only = listFlags().filter(([, flag]) => flag.name === undefined);
  const width = Math.max(...only.map(([, flag]) => flag.env?.length ?? 0)) + 2;
  const lines = only.map(([, flag]) => `  ${(flag.env ?? "").padEnd(width)}${describeFlag(flag)}`);
  return `\nEnvironment:\n${lines.join("\n")}\n\nExample:\n  meltemi serve --config-dir manifests/samples/bookinfo --grpcAddr 127.0.0.1:15010`;
}

function checkConfigDir(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new UsageError(`--config-dir: there is no directory ${path}`);
  if (!stats.isDirectory()) throw new UsageError(`--config-dir: ${path} is a file; name the directory that holds it`);
}

function describeStartFailure(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (message.startsWith("there is no API server"))
    return `${message}. Name one with --kubeconfig FILE, or the directory that holds the mesh with --config-dir DIR`;
  const taken = /EADDRINUSE: address already in use ([^\s\]]+)/.exec(message)?.[1];
  if (taken === undefined) return message;
  return `another program listens on ${taken}. End it, or choose other ports (see meltemi serve --help).`;
}
