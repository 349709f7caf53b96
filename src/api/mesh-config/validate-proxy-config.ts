/** Checks of the settings of proxies, after Istio's ValidateMeshConfigProxyConfig (pkg/config/validation/agent). */
import { parseDuration } from "../../lib/duration.ts";
import { checkClientTls } from "../destination-rule/validate-client-tls.ts";
import type { Findings, Path } from "../findings.ts";
import { checkPort, isAddress, isDnsName } from "../rules.ts";
import { checkWireDuration, isWhole } from "../wire-duration.ts";
import { checkConnectionSettings } from "./connection-settings.ts";
import type { ProxyConfig } from "./schema.ts";

/** Reports what is wrong with settings of proxies that have the mesh's defaults below them. */
export function validateProxyConfig(config: ProxyConfig, path: Path, findings: Findings): void {
  for (const field of ["configPath", "binaryPath", "discoveryAddress"] as const) {
    if ((config[field] ?? "") === "") findings.error([...path, field], "must not be empty", "required");
  }
  if (config.serviceCluster === "") findings.error([...path, "serviceCluster"], "must not be empty", "required");
  if (config.serviceCluster !== undefined && config.tracingServiceName !== undefined) {
    findings.error(path, "only one of serviceCluster, tracingServiceName may be set", "one-of");
  }
  checkDrainDuration(config.drainDuration, [...path, "drainDuration"], findings);
  checkAddresses(config, path, findings);
  checkTracing(config.tracing ?? {}, [...path, "tracing"], findings);
  for (const field of ["proxyAdminPort", "statusPort"] as const) checkPort(config[field], [...path, field], findings);
  if (config.controlPlaneAuthPolicy === "INHERIT") {
    findings.error([...path, "controlPlaneAuthPolicy"], "must be NONE or MUTUAL_TLS", "enum");
  }
  if ((config.concurrency ?? 0) < 0) findings.error([...path, "concurrency"], "must not be negative", "out-of-range");
  checkConnectionSettings(config.connectionSettings ?? {}, [...path, "connectionSettings"], findings);
  checkKeyProvider(config.privateKeyProvider, [...path, "privateKeyProvider"], findings);
  if (Object.hasOwn(config.proxyMetadata ?? {}, "ISTIO_META_DNS_AUTO_ALLOCATE")) {
    const at = [...path, "proxyMetadata", "ISTIO_META_DNS_AUTO_ALLOCATE"];
    findings.warning(at, "is deprecated: addresses of ServiceEntries are allocated by the control plane", "deprecated");
  }
}

function checkDrainDuration(duration: string | undefined, path: Path, findings: Findings): void {
  if (duration === undefined) {
    findings.error(path, "is required", "required");
    return;
  }
  checkWireDuration(duration, path, findings);
  if (!isWhole((parseDuration(duration) ?? 0) / 1000)) findings.error(path, "must be whole seconds", "duration");
}

function checkAddresses(config: ProxyConfig, path: Path, findings: Findings): void {
  const addresses: readonly (readonly [Path, string | undefined])[] = [
    [["discoveryAddress"], config.discoveryAddress],
    [["statsdUdpAddress"], config.statsdUdpAddress],
    [["envoyMetricsServiceAddress"], config.envoyMetricsServiceAddress],
    [["envoyMetricsService", "address"], config.envoyMetricsService?.address],
    [["envoyAccessLogService", "address"], config.envoyAccessLogService?.address],
  ];
  for (const [field, address = ""] of addresses) {
    if (address !== "") checkHostPort(address, [...path, ...field], findings);
  }
}

function checkTracing(tracing: NonNullable<ProxyConfig["tracing"]>, path: Path, findings: Findings): void {
  for (const field of ["lightstep", "zipkin", "datadog"] as const) {
    const tracer = tracing[field];
    if (tracer === undefined) continue;
    // The proxy puts its node's address in.
    const address = (tracer.address ?? "").replace("$(HOST_IP)", "127.0.0.1");
    checkHostPort(address, [...path, field, "address"], findings);
  }
  if (tracing.lightstep !== undefined && (tracing.lightstep.accessToken ?? "") === "") {
    findings.error([...path, "lightstep", "accessToken"], "is required", "required");
  }
  if (tracing.tlsSettings !== undefined) {
    checkClientTls(tracing.tlsSettings, { path: [...path, "tlsSettings"], namespace: "", findings });
  }
}

function checkKeyProvider(provider: ProxyConfig["privateKeyProvider"], path: Path, findings: Findings): void {
  if (provider === undefined) return;
  const { cryptomb, qat } = provider;
  const given = Object.entries({ cryptomb, qat }).filter(([, value]) => value !== undefined);
  if (given.length !== 1) findings.error(path, "exactly one of cryptomb, qat must be set", "one-of");
  for (const [name, value] of given) {
    const at = [...path, name, "pollDelay"];
    if (value?.pollDelay === undefined) findings.error(at, "is required", "required");
    else if (parseDuration(value.pollDelay) === 0) findings.error(at, "must not be 0", "duration");
  }
}

/** Checks an address as host:port; an IPv6 address stands in brackets. */
function checkHostPort(address: string, path: Path, findings: Findings): void {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]+)$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || !(isDnsName(host) || isAddress(host))) {
    findings.error(path, `"${address}" is not an address as host:port`, "address");
  } else checkPort(Number(port), path, findings);
}
