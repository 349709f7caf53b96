/** The work of `meltemi kube-inject`: files in, one file out. */
import { readFileSync, writeFileSync } from "node:fs";
import { defaultMeshConfig } from "../api/mesh-config/defaults.ts";
import { parseMeshConfig } from "../api/mesh-config/parse.ts";
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import { injectDocuments } from "../inject/inject-documents.ts";
import { type InjectionConfig, parseInjectionConfig } from "../inject/injection-config.ts";
import { formatMessage, type Message } from "../lib/message.ts";
import { CommandFailure } from "./failures.ts";

/** Files by their paths; "-" is standard input or output. */
export interface InjectionFiles {
  readonly filename: string;
  readonly output: string;
  readonly injectConfigFile?: string;
  readonly valuesFile?: string;
  readonly meshConfigFile?: string;
  readonly revision: string;
  readonly namespace: string;
  readonly nativeSidecars: boolean;
}

/** Injects a file and writes the result; throws a CommandFailure that says which document, object and field is wrong. */
export function injectFiles(options: InjectionFiles): void {
  const { text, errors, remarks } = injectDocuments(readText(options.filename), {
    config: readConfig(options),
    mesh: readMesh(options.meshConfigFile),
    revision: options.revision,
    hasNativeSidecars: options.nativeSidecars,
    defaultNamespace: options.namespace,
  });
  for (const remark of remarks) process.stderr.write(`${remark}\n`);
  if (text === undefined) throw new CommandFailure(errors.join("\n"));
  if (options.output === "-") process.stdout.write(text);
  else writeText(options.output, text);
}

function readConfig({ injectConfigFile, valuesFile }: InjectionFiles): InjectionConfig {
  const { config, messages } = parseInjectionConfig({
    config: injectConfigFile === undefined ? "" : readText(injectConfigFile),
    values: valuesFile === undefined ? "" : readText(valuesFile),
  });
  report(messages);
  if (config === undefined) throw new CommandFailure(formatErrors(messages));
  return config;
}

function readMesh(file: string | undefined): MeshConfig {
  if (file === undefined) return defaultMeshConfig;
  const { mesh, messages } = parseMeshConfig(readText(file));
  report(messages);
  if (mesh === undefined) throw new CommandFailure(formatErrors(messages));
  return mesh;
}

function report(messages: readonly Message[]): void {
  for (const message of messages) {
    if (message.level !== "error") process.stderr.write(`${formatMessage(message)}\n`);
  }
}

const formatErrors = (messages: readonly Message[]): string =>
  messages
    .filter(({ level }) => level === "error")
    .map(formatMessage)
    .join("\n");

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (cause: unknown) {
    throw new CommandFailure(`cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

function writeText(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (cause: unknown) {
    throw new CommandFailure(`cannot write ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}
