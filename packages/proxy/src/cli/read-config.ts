/** The bootstrap that the command line names, as an object. */
import { readFileSync } from "node:fs";
import { parseText } from "../config/read-bootstrap.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import type { Arguments } from "./parse-arguments.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** The file's, with that of --config-yaml merged over it, and the labels of --stats-tag. Throws ConfigError. */
export function readConfig({ configPath, configYaml, statsTags }: Arguments): JsonObject {
  const parts = [
    ...(configPath === undefined ? [] : [parseText(readText(configPath))]),
    ...(configYaml === undefined ? [] : [parseConfig(configYaml, "--config-yaml")]),
    ...(statsTags.length === 0 ? [] : [buildStatsTags(statsTags)]),
  ];
  return parts.reduce(mergeObjects, {});
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause: unknown) {
    throw new ConfigError("", `the file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function parseConfig(text: string, name: string): JsonObject {
  return within(name, () => parseText(text));
}

function buildStatsTags(tags: readonly string[]): JsonObject {
  const stats_tags = tags.map((tag) => {
    const end = tag.indexOf(":");
    if (end < 1) throw new ConfigError("", `--stats-tag ${tag}: must be name:value`);
    return { tag_name: tag.slice(0, end), fixed_value: tag.slice(end + 1) };
  });
  return { stats_config: { stats_tags } };
}

/** By protobuf's rule: objects are merged, lists joined, anything else is replaced. */
function mergeObjects(into: JsonObject, from: JsonObject): JsonObject {
  const merged: Record<string, unknown> = { ...into };
  for (const [key, value] of Object.entries(from)) {
    const before = merged[key];
    if (isObject(before) && isObject(value)) merged[key] = mergeObjects(before, value);
    else if (Array.isArray(before) && Array.isArray(value)) merged[key] = [...before, ...value];
    else merged[key] = value;
  }
  return merged;
}

/**
 * A bootstrap to check and not to serve: no port is opened, and the control plane is not asked for listeners and
 * clusters.
 */
export function withoutPorts(config: JsonObject): JsonObject {
  const { admin: _, ...rest } = config;
  return {
    ...rest,
    ...editMember(config, ["dynamic_resources", "dynamicResources"], (resources) => {
      const kept = Object.entries(resources).filter(([name]) => /^ads_?config$/i.test(name));
      return Object.fromEntries(kept);
    }),
    ...editMember(config, ["static_resources", "staticResources"], (resources) => {
      const { listeners } = resources;
      if (!Array.isArray(listeners)) return resources;
      return { ...resources, listeners: listeners.map(closePort) };
    }),
  };
}

function closePort(listener: unknown): unknown {
  if (!isObject(listener)) return listener;
  const { bindToPort: _, ...rest } = listener;
  return { ...rest, bind_to_port: false };
}

function editMember(
  config: JsonObject,
  names: readonly string[],
  edit: (member: JsonObject) => JsonObject,
): JsonObject {
  return Object.fromEntries(
    names.flatMap((name) => {
      const member = config[name];
      return isObject(member) ? [[name, edit(member)]] : [];
    }),
  );
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
