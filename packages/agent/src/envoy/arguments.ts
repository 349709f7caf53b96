/** Envoy's command line, as pilot-agent has it (pkg/envoy/proxy.go). */
import { parse } from "yaml";
import { ConfigError, type ProxyConfig } from "../config/proxy-config.ts";
import { replaceHostIp } from "./host-address.ts";

export interface ArgumentsOptions {
  /** File of the bootstrap. */
  readonly bootstrap: string;
  readonly config: ProxyConfig;
  readonly isIpv6: boolean;
  /** --proxyLogLevel: a level, and levels of components ("info,misc:error") after it. */
  readonly logLevel: string;
  /** --proxyComponentLogLevel; where the former names no component. */
  readonly componentLogLevel: string;
  readonly skipsDeprecatedLogs: boolean;
  readonly dumpsCore: boolean;
  /** What Envoy merges over the bootstrap, as JSON; "" where there is nothing. */
  readonly override: string;
}

export function buildArguments(options: ArgumentsOptions): readonly string[] {
  const { config, override } = options;
  return [
    ...["-c", options.bootstrap],
    ...["--drain-time-s", String(Math.trunc(config.drainDurationMs / 1000))],
    // Clients hear of the drain as soon as it begins.
    ...["--drain-strategy", "immediate"],
    ...["--local-address-ip-version", options.isIpv6 ? "v6" : "v4"],
    ...["--file-flush-interval-msec", String(config.fileFlushIntervalMs ?? 1000)],
    "--disable-hot-restart",
    "--allow-unknown-static-fields",
    ...(config.fileFlushMinSizeKb === 0 ? [] : ["--file-flush-min-size-kb", String(config.fileFlushMinSizeKb)]),
    ...buildLogArguments(options),
    ...(options.skipsDeprecatedLogs ? ["--skip-deprecated-logs"] : []),
    ...(options.dumpsCore ? ["--enable-core-dump"] : []),
    ...(override === "" ? [] : ["--config-yaml", override]),
    ...(config.concurrency === 0 ? [] : ["--concurrency", String(config.concurrency)]),
  ];
}

function buildLogArguments({ logLevel, componentLogLevel }: ArgumentsOptions): readonly string[] {
  const parts = logLevel.split(",").filter((part) => part !== "");
  const level = parts.findLast((part) => !part.includes(":"));
  const components = parts.filter((part) => part.split(":").length === 2).join(",") || componentLogLevel;
  return [
    ...(level === undefined ? [] : ["-l", level]),
    ...(components === "" ? [] : ["--component-log-level", components]),
  ];
}

/** The file of ISTIO_BOOTSTRAP_OVERRIDE (YAML or JSON) as JSON. Throws ConfigError where it is neither. */
export function convertOverride(text: string, hostIp: string): string {
  try {
    return JSON.stringify(parse(replaceHostIp(text, hostIp)));
  } catch (cause: unknown) {
    throw new ConfigError("the bootstrap's override is neither YAML nor JSON", { cause });
  }
}
