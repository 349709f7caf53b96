import type { Findings, Path } from "./findings.ts";
import { isAddress, isDnsLabel, isWildcardDnsName } from "./rules.ts";

export interface ScopedHostContext {
  readonly path: Path;
  readonly findings: Findings;
}

/**
 * Checks a host of a Gateway, as "host" or "namespace/host": the namespace is a name, "." or "*"
 * (ValidateNamespaceSlashWildcardHostname of Istio's pkg/config/validation/agent).
 */
export function checkGatewayHost(host: string, context: ScopedHostContext): void {
  const slash = host.indexOf("/");
  const namespace = host.slice(0, Math.max(slash, 0));
  if (slash >= 0 && namespace !== "*" && namespace !== "." && !isDnsLabel(namespace)) {
    context.findings.error(context.path, `"${namespace}" is not a namespace, "." or "*"`, "host");
  }
  checkName(host.slice(slash + 1), "host names and IP addresses", context);
}

/**
 * Checks a host of a Sidecar, as "namespace/host": the namespace is a name, "." or "*", with "~" in front to take the
 * host out again; "~" alone stands for no namespace.
 */
export function checkEgressHost(host: string, context: ScopedHostContext): void {
  const { path, findings } = context;
  const slash = host.indexOf("/");
  if (slash < 0) {
    findings.error(path, `"${host}" must be namespace/host, such as "./*" or "prod/api.example.com"`, "host");
    return;
  }
  const [given, name] = [host.slice(0, slash), host.slice(slash + 1)];
  const namespace = given.replace(/^~/, "");
  if (given === "" || (namespace !== "" && namespace !== "*" && namespace !== "." && !isDnsLabel(namespace))) {
    findings.error(path, `"${given}" is not a namespace, ".", "*" or "~"`, "host");
  }
  checkName(name, "host names", context);
}

function checkName(
  name: string,
  taken: "host names" | "host names and IP addresses",
  context: ScopedHostContext,
): void {
  const { path, findings } = context;
  const isTaken = isWildcardDnsName(name) || (taken === "host names and IP addresses" && isAddress(name));
  if (!isTaken) findings.error(path, `"${name}" is not a valid host name`, "host");
  else if (name !== "*" && !name.includes(".")) {
    findings.error(path, `"${name}" must be a full name, such as "${name}.default.svc.cluster.local"`, "host");
  } else if (name.startsWith("*") && name !== "*" && !name.startsWith("*.")) {
    findings.error(path, `"${name}": a wildcard must be a whole label, as in "*.example.com"`, "host");
  }
}
