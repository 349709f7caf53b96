/** The service that certifies workloads, as part of the port for xDS over TLS. */
import type { Authority } from "../ca/authority.ts";
import { createAuthoritySigner } from "../ca/authority-signer.ts";
import { createCertificatePath, createCertificateService } from "../ca/certificate-service.ts";
import type { CertificateSigner } from "../ca/certificate-signer.ts";
import type { LiveAuthority } from "../ca/live-authority.ts";
import type { CertificateMetrics } from "../ca/metrics.ts";
import { createNodeAuthorization, createPodLookup, type NodeAuthorization } from "../ca/node-authorization.ts";
import type { Flags } from "../config/flags.ts";
import type { AuthorityEnds } from "../http/certificate-metrics.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import { parseCertificates } from "../lib/certificate.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { UnaryMethod } from "../xds/transport.ts";
import type { XdsSecurity } from "./xds-security.ts";

export interface CertificateMethodsOptions {
  readonly flags: Flags;
  /** Undefined where the mesh is read from files: then nobody asks for others, since no pods are known. */
  readonly client: KubeClient | undefined;
  readonly authority: LiveAuthority;
  /** In place of the authority of the mesh, where given. */
  readonly signer?: CertificateSigner;
  readonly authenticate: XdsSecurity["authenticate"];
  /** The trust domain of the mesh as it is now. */
  readonly trustDomain: () => string;
  readonly metrics: CertificateMetrics;
  readonly clock: Clock;
  readonly log: Log;
}

/** None where the flags switch it off. */
export function createCertificateMethods(options: CertificateMethodsOptions): readonly UnaryMethod[] {
  const { flags, authority, authenticate, metrics, clock, log } = options;
  if (!flags.caServer) return [];
  const service = createCertificateService({
    authenticate,
    signer: options.signer ?? createAuthoritySigner({ authority, clock }),
    lifetimes: { defaultMs: flags.defaultWorkloadCertTtl, maxMs: flags.maxWorkloadCertTtl },
    authorizeNode: findNodeAuthorization(options),
    metrics,
    clock,
    log,
  });
  return [
    {
      path: createCertificatePath,
      handle: (request, call) => service.createCertificate(request, call),
    },
  ];
}

/**
 * When the authority ends, for metrics; it is loaded when somebody asks first, so that nobody waits for it who does not
 * need it. Undefined until then, and where nothing is certified.
 */
export function createAuthorityEnds(flags: Flags, authority: LiveAuthority): () => AuthorityEnds | undefined {
  if (!flags.caServer || flags.secureGrpcAddr === undefined) return () => undefined;
  let known: AuthorityEnds | undefined;
  const note = (current: Authority): void => {
    known = readEnds(current);
  };
  authority.onChange(note);
  return () => {
    // Whoever needs it reports why it cannot be loaded.
    if (known === undefined) void authority.load().then(note, () => undefined);
    return known;
  };
}

function readEnds({ certificate, chain, roots }: Authority): AuthorityEnds {
  const endOf = (pem: string): number => parseCertificates(pem, "the authority")[0].validToDate.getTime();
  return { rootMs: endOf(roots), chainMs: chain === "" ? undefined : endOf(certificate) };
}

function findNodeAuthorization({
  flags,
  client,
  trustDomain,
}: CertificateMethodsOptions): NodeAuthorization | undefined {
  const trustedAccounts = new Set(flags.trustedNodeAccounts.split(",").flatMap((account) => account.trim() || []));
  if (client === undefined || trustedAccounts.size === 0) return undefined;
  return createNodeAuthorization({ trustedAccounts, pods: createPodLookup(client), trustDomain });
}
