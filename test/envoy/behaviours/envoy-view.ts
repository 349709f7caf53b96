/** What an Envoy holds about one host, for people who look for the reason of a failure. */
import { stringify } from "yaml";
import type { EnvoyProcess } from "../envoy-process.ts";

type Json = { readonly [field: string]: unknown };

const maxLength = 12_000;

/** Routes of the host, filter chains that name it, and the clusters that they lead to, as YAML. */
export async function describeConfiguration(envoy: EnvoyProcess, host: string): Promise<string> {
  const { configs } = JSON.parse(await envoy.admin("config_dump")) as { readonly configs: readonly Json[] };
  const list = (field: string): readonly Json[] =>
    configs.flatMap((config) => (config[field] ?? []) as readonly Json[]);
  const routes = list("dynamic_route_configs").flatMap(({ route_config: config }) => pickRoutes(config as Json, host));
  const chains = list("dynamic_listeners").flatMap(({ active_state: state }) => pickChains(state as Json, host));
  const text = JSON.stringify([routes, chains]);
  const clusters = list("dynamic_active_clusters")
    .map(({ cluster }) => cluster as Json)
    .filter(({ name }) => text.includes(`"${String(name)}"`));
  const failed = list("dynamic_listeners").flatMap(({ error_state: state }) => (state === undefined ? [] : [state]));
  const found = stringify({ routes, chains, clusters, failed });
  return found.length > maxLength ? `${found.slice(0, maxLength)}\n...` : found;
}

function pickRoutes(config: Json, host: string): readonly Json[] {
  const hosts = (config["virtual_hosts"] ?? []) as readonly { readonly domains: readonly string[] }[];
  const own = hosts.filter(({ domains }) => domains.some((domain) => isDomainOf(domain, host)));
  return own.length === 0 ? [] : [{ name: config["name"], virtual_hosts: own }];
}

function isDomainOf(domain: string, host: string): boolean {
  if (domain === "*") return true;
  return domain.startsWith("*") ? host.endsWith(domain.slice(1)) : domain.replace(/:\d+$/, "") === host;
}

function pickChains(state: Json | undefined, host: string): readonly Json[] {
  const listener = state?.["listener"] as Json | undefined;
  const chains = (listener?.["filter_chains"] ?? []) as readonly Json[];
  const own = chains.filter((chain) => JSON.stringify(chain).includes(host));
  return own.length === 0 ? [] : [{ name: listener?.["name"], filter_chains: own }];
}
