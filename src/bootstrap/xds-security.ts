/** How proxies prove who they are, and who of them may have secrets. */
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import { createAccessReviews } from "../ca/access-reviews.ts";
import { authenticateBy } from "../ca/authenticate.ts";
import { createCertificateAuthenticator } from "../ca/certificate-authenticator.ts";
import { createForwardedCertificateAuthenticator, parseNetworks } from "../ca/forwarded-certificate-authenticator.ts";
import { createTokenAuthenticator } from "../ca/token-authenticator.ts";
import type { Flags } from "../config/flags.ts";
import type { DebugAccess } from "../http/debug/access.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Authenticator, PeerCredentials } from "../lib/caller.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { formatTrustDomain } from "../lib/spiffe.ts";
import { identitySecretAccess } from "../push/secret-answers.ts";
import type { DiscoveryServerOptions } from "../xds/discovery-server.ts";

export interface XdsSecurityOptions {
  readonly flags: Flags;
  /** Undefined where the mesh is read from files: then there are no tokens, and nobody to ask about rights. */
  readonly client: KubeClient | undefined;
  /** The settings of the mesh as they are now. */
  readonly mesh: () => MeshConfig;
  readonly clock: Clock;
  readonly log: Log;
}

export interface XdsSecurity {
  readonly options: Pick<DiscoveryServerOptions, "authenticate" | "checksIdentity" | "secretAccess">;
  /** Who calls, whether or not xDS asks; never rejects. */
  readonly authenticate: (credentials: PeerCredentials) => ReturnType<typeof authenticateBy>;
  /** Who may see debug pages over the network. */
  readonly debugAccess: DebugAccess;
  stop(): void;
}

export function createXdsSecurity(options: XdsSecurityOptions): XdsSecurity {
  const { flags, client, clock, log } = options;
  const authenticators = listAuthenticators(options);
  const reviews = client === undefined ? undefined : createAccessReviews({ client, clock, log });
  return {
    options: {
      ...(flags.xdsAuth ? { authenticate: (credentials) => authenticateBy(authenticators, credentials) } : {}),
      checksIdentity: flags.xdsIdentityCheck,
      secretAccess: reviews ?? identitySecretAccess,
    },
    authenticate: (credentials) => authenticateBy(authenticators, credentials),
    debugAccess: {
      async authenticate(bearerTokens) {
        if (bearerTokens.length === 0) return undefined;
        const answer = await authenticateBy(authenticators, {
          ...{ certificate: { kind: "none" }, bearerTokens, clusterIds: [] },
        });
        return answer.kind === "authenticated" ? answer.caller.identity.namespace : undefined;
      },
      rules: {
        checksNamespace: flags.debugEndpointAuth,
        systemNamespace: () => options.mesh().rootNamespace || flags.namespace,
        allowedNamespaces: new Set(flags.debugNamespaces.split(",").flatMap((name) => name.trim() || [])),
      },
    },
    stop: () => reviews?.stop(),
  };
}

/** In istiod's order (pilot/pkg/bootstrap/server.go). */
function listAuthenticators({ flags, client, mesh, clock, log }: XdsSecurityOptions): readonly Authenticator[] {
  const trustDomain = (): string => formatTrustDomain(mesh().trustDomain);
  const trustDomains = (): readonly string[] => [trustDomain(), ...mesh().trustDomainAliases.map(formatTrustDomain)];
  const byCertificate = createCertificateAuthenticator({ trustDomains });
  const forwarded = listForwardedAuthenticators(flags, trustDomains, log);
  if (client === undefined) return [byCertificate, ...forwarded];
  const audiences = flags.tokenAudiences.split(",").flatMap((audience) => audience.trim() || []);
  const { clusterId } = flags;
  const byToken = createTokenAuthenticator({ client, audiences, clusterId, trustDomain, clock, log });
  return [byCertificate, byToken, ...forwarded];
}

/** Headers of gateways are read only where an operator says which gateways. */
function listForwardedAuthenticators(
  { trustedGatewayCidr }: Flags,
  trustDomains: () => readonly string[],
  log: Log,
): readonly Authenticator[] {
  if (trustedGatewayCidr.trim() === "") return [];
  const { networks, problems } = parseNetworks(trustedGatewayCidr);
  if (problems.length > 0) log.error("TRUSTED_GATEWAY_CIDR holds what is no network", { problems });
  return [createForwardedCertificateAuthenticator({ networks, trustDomains })];
}
