/** Decides whether a peer's certificate is taken, by a validation context. */
import { createHash, X509Certificate } from "node:crypto";
import { getCACertificates, type SecureContextOptions, type TLSSocket } from "node:tls";
import { typeNameOf, unpackAs } from "@meltemi/protos";
import type { CertificateValidationContext } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import { readSubjectAltNames, type SubjectAltName } from "./certificate-info.ts";
import { compileSanMatchers, matchWantedNames, type SanMatcher } from "./san-matcher.ts";
import { createVerifyError, type TlsError } from "./tls-error.ts";
import { readDataSource } from "./tls-secrets.ts";
import { findTrustedDepth } from "./verify-chain.ts";

export interface Verdict {
  /** Undefined where the peer is taken. */
  readonly error: TlsError | undefined;
  /** True where its certificate was checked and found good. */
  readonly isVerified: boolean;
}

export interface PeerVerifier {
  readonly contextOptions: SecureContextOptions;
  /** True where peers are asked for a certificate. */
  readonly asks: boolean;
  /** True where a peer without a certificate is refused, whatever the context around this one requires. */
  readonly mustShow: boolean;
  /** True where sessions must not be resumed: what has to be seen is not kept in them. */
  readonly needsWholeChain: boolean;
  /** After a handshake. `platformError` is the platform's own finding; `wantedNames` stand in for the configuration's. */
  verify(peer: X509Certificate, platformError: string | undefined, wantedNames?: readonly string[]): Verdict;
}

/** Codes of the platform that are about dates alone. */
const dateErrors: ReadonlySet<string> = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);

const taken: Verdict = { error: undefined, isVerified: true };
const unchecked: Verdict = { error: undefined, isVerified: false };

/** Nobody is asked and nothing is checked. */
export const noVerifier: PeerVerifier = {
  contextOptions: { ca: [] },
  asks: false,
  mustShow: false,
  needsWholeChain: false,
  verify: () => unchecked,
};

/** Throws ConfigError for what cannot be checked here. */
export function compilePeerVerifier(context: CertificateValidationContext | undefined): PeerVerifier {
  if (context === undefined) return noVerifier;
  if (context.require_signed_certificate_timestamp?.value === true) {
    throw new ConfigError("require_signed_certificate_timestamp", "is not implemented");
  }
  if (context.ca_certificate_provider_instance) {
    throw new ConfigError("ca_certificate_provider_instance", "is not implemented");
  }
  if (context.only_verify_leaf_cert_crl === true && context.crl) {
    throw new ConfigError("only_verify_leaf_cert_crl", "is not implemented");
  }
  const domains = compileTrustDomains(context);
  const names = compileSanMatchers(context);
  const roots = domains ? [...domains.values()].flat() : readRoots(context);
  if (roots === undefined && names !== undefined) {
    const reason = "SAN-based verification of peer certificates without trusted CA is insecure and not allowed";
    throw new ConfigError("", reason);
  }
  const isPinned = compilePins(context);
  const plan: VerifyPlan = {
    ...{ names, roots, domains, isPinned },
    allowsExpired: context.allow_expired_certificate === true,
    // SPIFFE's validator does not look at it.
    acceptsUntrusted: domains === undefined && context.trust_chain_verification === "ACCEPT_UNTRUSTED",
    maxDepth: context.max_verify_depth?.value,
  };
  return {
    contextOptions: {
      ca: (roots ?? []).map((root) => root.toString()),
      // An intermediate authority may be trusted without its own.
      allowPartialTrustChain: true,
      ...(context.crl && { crl: within("crl", () => readDataSource(need("", context.crl))) }),
    },
    asks: roots !== undefined || isPinned !== undefined || plan.acceptsUntrusted,
    // Who has to be somebody in particular cannot be nobody.
    mustShow: (names ?? isPinned ?? domains) !== undefined && !plan.acceptsUntrusted,
    needsWholeChain: plan.allowsExpired || domains !== undefined || plan.maxDepth !== undefined,
    verify(peer, platformError, wantedNames) {
      const verdict = decide(plan, { peer, platformError, wantedNames });
      return verdict.error && plan.acceptsUntrusted ? unchecked : verdict;
    },
  };
}

interface VerifyPlan {
  readonly names: SanMatcher | undefined;
  readonly roots: readonly X509Certificate[] | undefined;
  readonly domains: ReadonlyMap<string, readonly X509Certificate[]> | undefined;
  readonly isPinned: ((peer: X509Certificate) => boolean) | undefined;
  readonly allowsExpired: boolean;
  readonly acceptsUntrusted: boolean;
  readonly maxDepth: number | undefined;
}

interface Evidence {
  readonly peer: X509Certificate;
  readonly platformError: string | undefined;
  readonly wantedNames: readonly string[] | undefined;
}

function decide(plan: VerifyPlan, { peer, platformError, wantedNames }: Evidence): Verdict {
  if (plan.roots === undefined && plan.isPinned === undefined) return unchecked;
  const names = readSubjectAltNames(peer);
  const chainProblem = plan.roots && findChainProblem(plan, { peer, platformError, names });
  if (chainProblem !== undefined) {
    const details = `X509_verify_cert: certificate verification error: ${chainProblem}`;
    return { error: createVerifyError("fail_verify_error", details), isVerified: false };
  }
  const areNamesGood = wantedNames && wantedNames.length > 0 ? matchWantedNames(wantedNames) : plan.names;
  if (plan.roots !== undefined && areNamesGood !== undefined && !areNamesGood(names)) {
    return { error: createVerifyError("fail_verify_san", "verify SAN list"), isVerified: false };
  }
  if (plan.isPinned !== undefined && !plan.isPinned(peer)) {
    return { error: createVerifyError("fail_verify_cert_hash", "cert hash and spki"), isVerified: false };
  }
  return taken;
}

interface ChainEvidence {
  readonly peer: X509Certificate;
  readonly platformError: string | undefined;
  readonly names: readonly SubjectAltName[];
}

/** What is wrong with the way to a trusted authority, in words; undefined for nothing. */
function findChainProblem(plan: VerifyPlan, { peer, platformError, names }: ChainEvidence): string | undefined {
  const isDateProblem = platformError !== undefined && dateErrors.has(platformError);
  if (platformError !== undefined && !(plan.allowsExpired && isDateProblem)) {
    return platformError.toLowerCase().replaceAll("_", " ");
  }
  const roots = plan.domains ? findDomainRoots(plan.domains, names) : plan.roots;
  if (roots === undefined) return "no trust bundle for the trust domain";
  // The platform tells the last problem alone: where dates are forgiven, that the rest is good has to be seen.
  if (plan.domains === undefined && !isDateProblem && plan.maxDepth === undefined) return undefined;
  const depth = findTrustedDepth(peer, roots);
  if (depth === undefined) return "unable to get local issuer certificate";
  return plan.maxDepth !== undefined && depth > plan.maxDepth + 1 ? "certificate chain too long" : undefined;
}

/** SPIFFE: the first identity's trust domain says which roots count (Envoy's SPIFFE validator, which expects no second). */
function findDomainRoots(
  domains: ReadonlyMap<string, readonly X509Certificate[]>,
  names: readonly SubjectAltName[],
): readonly X509Certificate[] | undefined {
  const identity = names.find(({ kind }) => kind === "URI");
  const domain = /^spiffe:\/\/([^/]+)\/./.exec(identity?.value ?? "")?.[1];
  return domain === undefined ? undefined : domains.get(domain);
}

function readRoots(context: CertificateValidationContext): readonly X509Certificate[] | undefined {
  if (context.trusted_ca) return within("trusted_ca", () => parseBundle(readDataSource(need("", context.trusted_ca))));
  if (context.system_root_certs) return getCACertificates("system").map((pem) => new X509Certificate(pem));
  return undefined;
}

/** All certificates of a PEM file; those that cannot be read are an error, as a root that is missing is found too late. */
function parseBundle(bundle: Buffer): readonly X509Certificate[] {
  const blocks = bundle
    .toString("latin1")
    .match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END [^-]+-----/g);
  if (blocks === null) throw new ConfigError("", "Failed to load trusted CA certificates");
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (cause: unknown) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError("", `Failed to load trusted CA certificates: ${reason}`);
    }
  });
}

const spiffeType = "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

function compileTrustDomains(
  context: CertificateValidationContext,
): ReadonlyMap<string, readonly X509Certificate[]> | undefined {
  const any = context.custom_validator_config?.typed_config;
  if (context.custom_validator_config === undefined) return undefined;
  const config = any && unpackAs(spiffeType, any);
  if (config === undefined) {
    throw new ConfigError("custom_validator_config", `${typeNameOf(any?.type_url ?? "")} is not implemented`);
  }
  const domains = compileAll("custom_validator_config.trust_domains", config.trust_domains, (domain) => {
    const roots = within("trust_bundle", () => parseBundle(readDataSource(need("", domain.trust_bundle))));
    return [need("name", domain.name), roots] as const;
  });
  return new Map(domains);
}

function compilePins(context: CertificateValidationContext): ((peer: X509Certificate) => boolean) | undefined {
  const hashes = new Set((context.verify_certificate_hash ?? []).map((hash) => hash.replaceAll(":", "").toLowerCase()));
  const keys = new Set(context.verify_certificate_spki ?? []);
  if (hashes.size === 0 && keys.size === 0) return undefined;
  return (peer) => {
    if (hashes.has(peer.fingerprint256.replaceAll(":", "").toLowerCase())) return true;
    if (keys.size === 0) return false;
    const spki = peer.publicKey.export({ type: "spki", format: "der" });
    return keys.has(createHash("sha256").update(spki).digest("base64"));
  };
}

/**
 * The platform's finding on the peer's chain, as a code such as "CERT_HAS_EXPIRED"; undefined for none. Sockets of its own
 * servers and clients tell it as `authorizationError`; for a bare TLSSocket it has to be asked.
 */
export function findPlatformError(socket: TLSSocket): string | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { verifyError?(): Error | null } };
  // Nothing to ask is nothing to trust.
  if (typeof handle?.verifyError !== "function") return "UNSPECIFIED";
  const error = handle.verifyError();
  if (error === null || error === undefined) return undefined;
  return "code" in error && typeof error.code === "string" ? error.code : "UNSPECIFIED";
}
