/** Which virtual host a request belongs to (VirtualHost.domains in Envoy's API documentation). */
import type { RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";

interface Claim {
  readonly domain: string;
  readonly host: VirtualHost;
}

/**
 * The exact name wins, then the longest domain with a leading asterisk, then the longest with a closing one, then "*".
 * An asterisk stands for at least one character. Case does not matter.
 */
export function findVirtualHost(routes: RouteConfiguration, authority: string): VirtualHost | undefined {
  const stripped = routes.ignore_port_in_host_matching === true ? authority.replace(/:\d+$/, "") : authority;
  const name = stripped.toLowerCase();
  const claims = (routes.virtual_hosts ?? []).flatMap((host) =>
    (host.domains ?? []).map((domain): Claim => ({ domain: domain.toLowerCase(), host })),
  );
  const exact = claims.find(({ domain }) => domain === name);
  if (exact !== undefined && name !== "*") return exact.host;
  const wildcards = claims.filter(({ domain }) => domain.length > 1 && name.length >= domain.length);
  const suffixes = wildcards.filter(({ domain }) => domain.startsWith("*") && name.endsWith(domain.slice(1)));
  const prefixes = wildcards.filter(({ domain }) => domain.endsWith("*") && name.startsWith(domain.slice(0, -1)));
  const best = longest(suffixes) ?? longest(prefixes) ?? claims.find(({ domain }) => domain === "*");
  return best?.host;
}

/** True where the request must come again by TLS. */
export function needsTls(host: VirtualHost, forwardedProto: string, isInternal: boolean): boolean {
  if (forwardedProto === "https") return false;
  return host.require_tls === "ALL" || (host.require_tls === "EXTERNAL_ONLY" && !isInternal);
}

function longest(claims: readonly Claim[]): Claim | undefined {
  return claims.toSorted((a, b) => b.domain.length - a.domain.length)[0];
}
