/** Operators about what filters, hosts, clusters and routes carry along, and about the machine. */
import { hostname as systemHostname } from "node:os";
import type { LogEntry } from "../access-log/types.ts";
import { ConfigError } from "../lib/config-error.ts";
import { type CompileOperator, needArgument, type OperatorTable, plain } from "./operator-table.ts";
import type { FormatOptions, Operator } from "./types.ts";

type ReadMetadata = (
  entry: LogEntry,
  options: FormatOptions,
) => ReadonlyMap<string, unknown> | Readonly<Record<string, unknown>> | undefined;

/** By the word in %METADATA(WORD:...)%. */
const metadataKinds: Readonly<Record<string, ReadMetadata>> = {
  DYNAMIC: ({ info }) => info.dynamicMetadata,
  UPSTREAM_HOST: ({ info }) => info.upstreamHost?.metadata,
  CLUSTER: ({ info }, { clusters }) => clusters?.find(info.clusterName)?.metadata,
  ROUTE: ({ routeMetadata }) => routeMetadata,
};

/** "NAMESPACE", or "NAMESPACE:KEY:KEY..." for what is below. */
function compileMetadata(read: ReadMetadata): CompileOperator {
  return (argument, options): Operator => {
    const [namespace = "", ...keys] = needArgument(argument).split(":");
    return (entry) => {
      const all = read(entry, options);
      const found =
        all instanceof Map ? all.get(namespace) : (all as Readonly<Record<string, unknown>> | undefined)?.[namespace];
      return walk(found, keys);
    };
  };
}

function walk(value: unknown, keys: readonly string[]): unknown {
  let found = value;
  for (const key of keys) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Readonly<Record<string, unknown>>)[key];
  }
  return found ?? undefined;
}

const compileAnyMetadata: CompileOperator = (argument, options) => {
  const [kind = "", ...rest] = needArgument(argument).split(":");
  const read = metadataKinds[kind];
  if (read === undefined) throw new ConfigError("", `"${kind}" is none of ${Object.keys(metadataKinds).join(", ")}`);
  return compileMetadata(read)(rest.join(":"), options);
};

/** "NAME" or "NAME:TYPED" is the value as JSON, "NAME:PLAIN" its text, "NAME:FIELD:FIELD-NAME" a member of it. */
function compileFilterState(argument: string | undefined): Operator {
  const [name = "", form = "TYPED", field = ""] = needArgument(argument).split(":");
  if (form === "PLAIN") return ({ info }) => info.findFilterState(name)?.text;
  if (form === "FIELD") return ({ info }) => walk(info.findFilterState(name)?.value, [field]);
  if (form !== "TYPED") throw new ConfigError("", `"${form}" is none of PLAIN, TYPED, FIELD`);
  return ({ info }) => {
    const found = info.findFilterState(name);
    return found?.value ?? found?.text;
  };
}

const compileEnvironment: CompileOperator = (argument, { environment }) => {
  const name = needArgument(argument);
  if (environment === undefined) throw new ConfigError("", "cannot be used here: the environment is not known");
  const value = environment(name);
  return () => value;
};

const compileHostname: CompileOperator = (argument, { hostname = systemHostname() }) =>
  plain(() => hostname)(argument, {});

export const metadataOperators: OperatorTable = {
  DYNAMIC_METADATA: compileMetadata(({ info }) => info.dynamicMetadata),
  UPSTREAM_METADATA: compileMetadata(({ info }) => info.upstreamHost?.metadata),
  CLUSTER_METADATA: compileMetadata(({ info }, { clusters }) => clusters?.find(info.clusterName)?.metadata),
  METADATA: compileAnyMetadata,
  FILTER_STATE: compileFilterState,
  ENVIRONMENT: compileEnvironment,
  HOSTNAME: compileHostname,
};
