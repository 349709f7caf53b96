/**
 * Checks of extension providers, after Istio's validateExtensionProvider (pkg/config/validation/agent). Istio only logs
 * what is wrong with them, because a provider harms nobody until a rule names it: warnings here.
 */
import type { Findings, Path } from "../findings.ts";
import { isAddress, isDnsLabel, isDnsName, isWildcardDnsName } from "../rules.ts";
import type { MeshConfig } from "./schema.ts";

/** The parts that providers behind a service share. */
interface RemoteProvider {
  readonly service?: string;
  readonly port?: number;
  readonly statusOnError?: string;
  readonly pathPrefix?: string;
  readonly accessToken?: string;
  readonly grpc?: unknown;
  readonly http?: unknown;
}

export function validateExtensionProviders(providers: MeshConfig["extensionProviders"], findings: Findings): void {
  for (const [index, { name, ...kinds }] of providers.entries()) {
    const path = ["extensionProviders", index];
    const given = Object.entries(kinds).filter(([, value]) => value !== undefined);
    if (given.length === 0) findings.warning(path, `provider "${name}" is of no known kind`, "no-effect");
    if (given.length > 1) {
      const names = given.map(([kind]) => kind).join(", ");
      findings.error(path, `only one of ${names} may be set`, "one-of");
    }
    for (const [kind, provider] of given)
      checkProvider(kind, provider as RemoteProvider, { path: [...path, kind], findings });
  }
}

function checkProvider(kind: string, provider: RemoteProvider, at: { path: Path; findings: Findings }): void {
  const { path, findings } = at;
  const { service, port, statusOnError = "", pathPrefix = "" } = provider;
  if (service !== undefined && !isService(service)) {
    findings.warning([...path, "service"], `"${service}" is not a service as host or namespace/host`, "host");
  }
  if (port !== undefined && (port < 1 || port > 65535)) {
    findings.warning([...path, "port"], "must be a port from 1 to 65535", "port");
  }
  if (statusOnError !== "" && !/^[1-5][0-9]{2}$/.test(statusOnError)) {
    findings.warning([...path, "statusOnError"], `"${statusOnError}" is not an HTTP status`, "enum");
  }
  if (pathPrefix !== "" && !pathPrefix.startsWith("/")) {
    findings.warning([...path, "pathPrefix"], 'must start with "/"', "path");
  }
  if (kind === "lightstep" && (provider.accessToken ?? "") === "") {
    findings.warning([...path, "accessToken"], "is required", "required");
  }
  if (kind === "opentelemetry" && provider.grpc !== undefined && provider.http !== undefined) {
    findings.warning(path, "only one of grpc, http may be set", "one-of");
  }
}

function isService(service: string): boolean {
  const [first = "", host, more] = service.split("/");
  if (host === undefined) return isDnsName(first) || isAddress(first);
  const isNamespace = ["*", ".", "~"].includes(first) || isDnsLabel(first);
  return isNamespace && more === undefined && host.includes(".") && isWildcardDnsName(host);
}
