/** Checks of a mesh configuration as a whole, after Istio's ValidateMeshConfig (pkg/config/validation/agent). */
import { parseDuration } from "../../lib/duration.ts";
import { checkLocality, checkZoneAware } from "../destination-rule/validate-locality.ts";
import type { Findings, Path } from "../findings.ts";
import { checkSelectorExpressions } from "../label-selector.ts";
import { checkHost, checkPort, isDnsLabel } from "../rules.ts";
import { checkWireDuration, isWhole } from "../wire-duration.ts";
import type { MeshConfig } from "./schema.ts";
import { validateExtensionProviders } from "./validate-extension-providers.ts";
import { validateProxyConfig } from "./validate-proxy-config.ts";

const hourMs = 3_600_000;

/** Curves that BoringSSL knows by these names. */
const knownCurves: ReadonlySet<string> = new Set(["P-256", "P-384", "P-521", "X25519", "X25519MLKEM768"]);

/** Reports what is wrong with a mesh configuration that has its defaults; paths begin at its fields. */
export function validateMeshConfig(mesh: MeshConfig, findings: Findings): void {
  checkPort(mesh.proxyListenPort, ["proxyListenPort"], findings);
  checkPort(mesh.proxyInboundListenPort, ["proxyInboundListenPort"], findings);
  if (mesh.proxyHttpPort !== 0) checkPort(mesh.proxyHttpPort, ["proxyHttpPort"], findings);
  checkTimeouts(mesh, findings);
  validateProxyConfig(mesh.defaultConfig, ["defaultConfig"], findings);
  checkLocality(mesh.localityLbSetting, ["localityLbSetting"], findings);
  if (mesh.zoneAwareLbSetting !== undefined) checkZoneAware(mesh.zoneAwareLbSetting, ["zoneAwareLbSetting"], findings);
  for (const [index, { hosts = [] }] of (mesh.serviceSettings ?? []).entries()) {
    for (const [at, host] of hosts.entries()) checkHost(host, ["serviceSettings", index, "hosts", at], findings);
  }
  checkTrustDomain(mesh.trustDomain, ["trustDomain"], findings);
  for (const [index, alias] of mesh.trustDomainAliases.entries()) {
    checkTrustDomain(alias, ["trustDomainAliases", index], findings);
  }
  for (const [index, selector] of (mesh.discoverySelectors ?? []).entries()) {
    checkSelectorExpressions(selector, ["discoverySelectors", index], findings);
  }
  validateExtensionProviders(mesh.extensionProviders, findings);
  checkCurves(mesh, findings);
}

function checkTimeouts(mesh: MeshConfig, findings: Findings): void {
  checkWireDuration(mesh.connectTimeout, ["connectTimeout"], findings);
  if ((parseDuration(mesh.connectTimeout) ?? 0) > hourMs) {
    findings.error(["connectTimeout"], "must be at most 1h", "duration");
  }
  const detectionMs = parseDuration(mesh.protocolDetectionTimeout) ?? 0;
  if (!isWhole(detectionMs)) {
    findings.error(["protocolDetectionTimeout"], "must be whole milliseconds", "duration");
  } else if (detectionMs < 0) {
    findings.error(["protocolDetectionTimeout"], "must not be negative", "duration");
  }
}

/** Labels between dots, of which the last may be empty. */
function checkTrustDomain(domain: string, path: Path, findings: Findings): void {
  const labels = domain.split(".");
  const isValid = labels.every((label, index) => isDnsLabel(label) || (label === "" && index === labels.length - 1));
  if (domain === "" || !isValid) findings.error(path, `"${domain}" is not a trust domain`, "trust-domain");
}

function checkCurves(mesh: MeshConfig, findings: Findings): void {
  if ((mesh.meshMTLS?.ecdhCurves ?? []).length > 0) {
    findings.error(["meshMTLS", "ecdhCurves"], "is not supported for mutual TLS of the mesh", "unsupported");
  }
  const seen = new Set<string>();
  for (const [index, curve] of (mesh.tlsDefaults?.ecdhCurves ?? []).entries()) {
    const path = ["tlsDefaults", "ecdhCurves", index];
    if (!knownCurves.has(curve)) findings.warning(path, `"${curve}" is not a curve that proxies know`, "no-effect");
    else if (seen.has(curve)) findings.warning(path, `"${curve}" is given twice`, "duplicate");
    seen.add(curve);
  }
}
