/** Everything that the agent is told, from the environment, the command line and the files of the pod, read once. */
import { readFileSync } from "node:fs";
import type { NetworkInterfaceInfo } from "node:os";
import type { AddressFamilies } from "./addresses.ts";
import { findFamilies, listAddresses } from "./addresses.ts";
import type { Environment } from "./env.ts";
import type { ProxyType } from "./node.ts";
import { parsePodInfo } from "./pod-info.ts";
import { type ProxyConfig, resolveProxyConfig } from "./proxy-config.ts";
import { readVariables, type Variables } from "./variables.ts";

/** What stands on the command line; pilot-agent's flags and defaults. */
export interface AgentFlags {
  /** DNS suffix of the pod's namespace; by default POD_NAMESPACE.svc.cluster.local. */
  readonly domain: string;
  /** File with the mesh configuration; it need not be there. */
  readonly meshConfig: string;
  readonly serviceCluster: string;
  readonly proxyLogLevel: string;
  readonly proxyComponentLogLevel: string;
  /** 0: not given. */
  readonly concurrency: number;
  readonly outlierLogPath: string;
  /** The proxy to start; that of the ProxyConfig where "". */
  readonly binaryPath: string;
  /** Where the agent and Envoy's own listeners answer; all addresses of the pod where "". */
  readonly listenAddress: string;
}

export const defaultFlags: AgentFlags = {
  domain: "",
  meshConfig: "./etc/istio/config/mesh",
  serviceCluster: "istio-proxy",
  proxyLogLevel: "warning",
  proxyComponentLogLevel: "",
  concurrency: 0,
  outlierLogPath: "",
  binaryPath: "",
  listenAddress: "",
};

export interface SettingsSources {
  readonly type: ProxyType;
  readonly flags: AgentFlags;
  readonly environment: Environment;
  /** As node:os lists them. */
  readonly interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;
}

export interface Settings extends SettingsSources {
  readonly variables: Variables;
  /** Variables that could not be understood. */
  readonly invalid: readonly string[];
  readonly config: ProxyConfig;
  readonly addresses: readonly string[];
  readonly families: AddressFamilies;
  readonly domain: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

type ReadFile = (path: string) => string | undefined;

/** Files that the kubelet writes; the agent's working directory is the root of the container. */
const labelsFile = "./etc/istio/pod/labels";
const annotationsFile = "./etc/istio/pod/annotations";

/** Throws ConfigError where the ProxyConfig cannot be understood. `readFile` gives a file's text, or undefined. */
export function readSettings(sources: SettingsSources, readFile: ReadFile = readFileIfThere): Settings {
  const { flags, environment, interfaces } = sources;
  const { variables, invalid } = readVariables(environment);
  const [labels, annotations] = [labelsFile, annotationsFile].map((file) => {
    const text = readFile(file);
    return text === undefined ? undefined : parsePodInfo(text);
  });
  const config = resolveProxyConfig({
    meshConfig: readFile(flags.meshConfig),
    environment: variables.proxyConfig,
    annotations: annotations ?? {},
    concurrency: flags.concurrency,
    serviceCluster: flags.serviceCluster,
    cpuLimit: variables.cpuLimit,
  });
  const excluded = (annotations?.["traffic.sidecar.istio.io/excludeInterfaces"] ?? "").split(",");
  const addresses = listAddresses({ interfaces, instanceIp: variables.instanceIp, excluded });
  return {
    ...sources,
    variables,
    invalid,
    config,
    addresses,
    families: findFamilies(addresses),
    domain: flags.domain === "" ? `${variables.podNamespace}.svc.cluster.local` : flags.domain,
    labels,
    annotations,
  };
}

/** The text of a file; undefined where it is missing or nobody may read it. */
export function readFileIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Variables with a prefix, by the rest of their names. */
export function readPrefixed(environment: Environment, prefix: string): Readonly<Record<string, string>> {
  const entries = Object.entries(environment).flatMap(([name, value]) =>
    name.startsWith(prefix) && value !== undefined ? [[name.slice(prefix.length), value] as const] : [],
  );
  return Object.fromEntries(entries);
}
