/**
 * Where the application's metrics are: what the injector wrote into ISTIO_PROMETHEUS_ANNOTATIONS from the pod's
 * annotations (pilot/cmd/pilot-agent/status/server.go).
 */
import { isJsonObject, type JsonObject, readText } from "../config/json.ts";
import { ConfigError } from "../config/proxy-config.ts";

export interface ScrapeTarget {
  readonly port: number;
  readonly path: string;
}

/** Ports of Envoy and of the agent: metrics from there would be counted twice, or ask for themselves for ever. */
const reservedPorts: ReadonlyMap<number, string> = new Map([
  [15000, "Envoy's administration"],
  [15001, "outgoing traffic"],
  [15004, "the control plane's debug pages"],
  [15006, "incoming traffic"],
  [15008, "tunnels"],
  [15020, "merged metrics"],
  [15021, "readiness"],
  [15053, "DNS"],
  [15090, "Envoy's metrics, which are merged anyway"],
]);

/** "" is none. Throws ConfigError for a port that cannot be scraped. */
export function parseScrapeTargets(text: string, statusPort: number): readonly ScrapeTarget[] {
  if (text === "") return [];
  const config = parseConfig(text);
  if (String(config["scrape"]) === "false") return [];
  const listed = Array.isArray(config["targets"]) ? config["targets"].filter(isJsonObject) : [];
  const targets = listed.length > 0 ? listed : [{ path: config["path"], port: config["port"] ?? "80" }];
  return targets.map((target) => parseTarget(target, statusPort));
}

function parseConfig(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause: unknown) {
    throw new ConfigError("ISTIO_PROMETHEUS_ANNOTATIONS is no JSON", { cause });
  }
  if (!isJsonObject(value)) throw new ConfigError("ISTIO_PROMETHEUS_ANNOTATIONS is no object");
  return value;
}

function parseTarget(target: JsonObject, statusPort: number): ScrapeTarget {
  const written = String(target["port"] ?? "") || "80";
  const port = Number(written);
  if (!/^\d+$/.test(written) || port < 1 || port > 65_535) {
    throw new ConfigError("ISTIO_PROMETHEUS_ANNOTATIONS: a port is a number from 1 to 65535");
  }
  const use = port === statusPort ? "merged metrics" : reservedPorts.get(port);
  if (use !== undefined) throw new ConfigError(`ISTIO_PROMETHEUS_ANNOTATIONS: port ${port} is the proxy's (${use})`);
  const path = readText(target, "path") ?? "/metrics";
  return { port, path: path.startsWith("/") ? path : `/${path}` };
}
