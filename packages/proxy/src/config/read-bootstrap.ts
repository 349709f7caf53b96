/**
 * Envoy's bootstrap (envoy.config.bootstrap.v3.Bootstrap) from JSON or YAML. What cannot be done is refused with the
 * field's path; what only touches how a proxy observes or guards itself is left out with a note, as no answer depends on it.
 */
import { fromJson, ProtoError } from "@meltemi/protos";
import type { Bootstrap } from "@meltemi/protos/envoy/config/bootstrap/v3";
import { parseDocument } from "yaml";
import { ConfigError } from "../lib/config-error.ts";

export interface ReadBootstrap {
  readonly bootstrap: Bootstrap;
  /** Members that are there and have no effect here, each with a sentence for the log. */
  readonly notes: readonly BootstrapNote[];
}

export interface BootstrapNote {
  readonly field: string;
  readonly reason: string;
}

type JsonObject = Readonly<Record<string, unknown>>;

const typeName = "envoy.config.bootstrap.v3.Bootstrap";

/** Members without an effect on answers, and why they are let pass. */
const tolerated: ReadonlyMap<string, string> = new Map([
  ["overload_manager", "of its monitors only global_downstream_max_connections counts here"],
  ["stats_sinks", "statistics are read from the administration pages"],
  ["stats_eviction_interval", "statistics of what is gone are dropped with it"],
  ["stats_flush_on_admin", "statistics are read when they are asked for"],
  ["watchdog", "there are no threads to watch"],
  ["watchdogs", "there are no threads to watch"],
  ["fatal_actions", "there are no threads to watch"],
  ["flags_path", "feature flags by file are not read"],
  ["hds_config", "health is not reported to a management server"],
  ["enable_dispatcher_stats", "there is no dispatcher"],
  ["deferred_stat_options", "statistics are made when they are first needed"],
  ["application_log_config", "the format of the process's own log is its command's affair"],
  ["grpc_async_client_manager_config", "clients live as long as their configuration"],
  ["memory_allocator_manager", "memory is the platform's affair"],
  ["perf_tracing_file_path", "there is no tracing of the process itself"],
  ["xds_config_tracker_extension", "received configuration is seen in /config_dump"],
  ["inline_headers", "headers have no registered places"],
  ["node_context_params", "resources are named without context parameters"],
]);

/** Members that would change answers and are not there. */
const refused: readonly (keyof Bootstrap)[] = [
  "config_sources",
  "default_config_source",
  "certificate_provider_instances",
  "xds_delegate_extension",
  "listener_manager",
  "default_socket_interface",
];

const knownExtensions: ReadonlySet<string> = new Set([
  "envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
]);

/** Reads a bootstrap from JSON or YAML text, or from what either was parsed into. Throws ConfigError. */
export function readBootstrap(source: string | object): ReadBootstrap {
  const json = typeof source === "string" ? parseText(source) : (source as JsonObject);
  const notes: BootstrapNote[] = [];
  const kept = Object.entries(json).filter(([name, member]) => {
    const reason = tolerated.get(toSnakeCase(name));
    if (reason === undefined || member === null) return true;
    notes.push({ field: toSnakeCase(name), reason });
    // Shown by /config_dump where it can be understood; an extension that nobody knows must not keep the proxy from starting.
    return isReadable({ [name]: member });
  });
  const bootstrap = readMessage(Object.fromEntries(kept));
  checkSupported(bootstrap);
  return { bootstrap, notes };
}

/** A JSON object from JSON or YAML text. Throws ConfigError. */
export function parseText(text: string): JsonObject {
  const document = parseDocument(text, { merge: true, logLevel: "error" });
  const [problem] = document.errors;
  if (problem !== undefined) throw new ConfigError("", `neither JSON nor YAML: ${problem.message.split("\n")[0]}`);
  const json: unknown = document.toJS({ maxAliasCount: 1000 });
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new ConfigError("", "is no object");
  return json as JsonObject;
}

function readMessage(json: JsonObject): Bootstrap {
  try {
    return fromJson(typeName, json);
  } catch (cause: unknown) {
    if (!(cause instanceof ProtoError)) throw cause;
    throw new ConfigError(cause.path.replace(typeName, "").replace(/^\./, ""), cause.reason);
  }
}

function isReadable(json: JsonObject): boolean {
  try {
    fromJson(typeName, json);
    return true;
  } catch {
    return false;
  }
}

function checkSupported(bootstrap: Bootstrap): void {
  for (const name of refused) {
    const member = bootstrap[name];
    if (member === undefined || member === "" || (Array.isArray(member) && member.length === 0)) continue;
    throw new ConfigError(name, "is not supported");
  }
  const { header_prefix: prefix, default_regex_engine: engine, dynamic_resources: dynamic } = bootstrap;
  if (prefix !== undefined && prefix !== "" && prefix !== "x-envoy") {
    throw new ConfigError("header_prefix", `only x-envoy is supported, not ${prefix}`);
  }
  if (engine !== undefined && !(engine.typed_config?.type_url ?? "").endsWith(".regex_engines.v3.GoogleRE2")) {
    throw new ConfigError("default_regex_engine", `${engine.name ?? ""} is not supported`);
  }
  for (const name of ["lds_resources_locator", "cds_resources_locator"] as const) {
    if (dynamic?.[name]) throw new ConfigError(`dynamic_resources.${name}`, "is not supported");
  }
  for (const [index, { name = "", typed_config: config }] of (bootstrap.bootstrap_extensions ?? []).entries()) {
    const type = (config?.type_url ?? "").replace(/^.*\//, "");
    if (!knownExtensions.has(type)) {
      throw new ConfigError(`bootstrap_extensions[${index}]`, `the extension ${name || type} is not supported`);
    }
  }
}

function toSnakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
