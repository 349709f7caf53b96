/**
 * TLS contexts of clusters (Istio: networking/core/cluster_tls.go). What the settings of a DestinationRule leave open is
 * filled in by the caller: the server name that a mesh gateway routes by and the identities of the service.
 */
import type {
  CertificateValidationContext,
  CommonTlsContext,
  TlsParameters,
  UpstreamTlsContext,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import type { MeshTlsSettings } from "./downstream.ts";
import {
  buildCredentialCertificate,
  buildCredentialRoots,
  buildFileCertificate,
  buildFileRoots,
  meshRoots,
  workloadCertificate,
} from "./sds.ts";

/** TLS settings of a client, as DestinationRule.trafficPolicy.tls states them. */
export interface ClientTlsSettings {
  readonly mode?: string | undefined;
  readonly clientCertificate?: string | undefined;
  readonly privateKey?: string | undefined;
  readonly caCertificates?: string | undefined;
  readonly caCrl?: string | undefined;
  readonly credentialName?: string | undefined;
  readonly subjectAltNames?: readonly string[] | undefined;
  readonly sni?: string | undefined;
  readonly insecureSkipVerify?: boolean | undefined;
}

const baseParameters: TlsParameters = {
  tls_minimum_protocol_version: "TLSv1_2",
  tls_maximum_protocol_version: "TLSv1_3",
};

export interface MutualTlsPeer {
  readonly sni: string;
  /** Names of which the server must prove one; with none any workload of the mesh will do. */
  readonly subjectAltNames: readonly string[];
  readonly http2: boolean;
  /** True where the proxy exchanges metadata with its peer. */
  readonly exchangesMetadata: boolean;
}

/**
 * Mutual TLS with the identities of the mesh. "istio" in the list of protocols is what a permissive server tells mesh
 * traffic by; "istio-peer-exchange" promises metadata first, so only proxies that do exchange it may offer it.
 */
export function buildMutualTlsContext(peer: MutualTlsPeer): UpstreamTlsContext {
  return {
    common_tls_context: {
      alpn_protocols: [
        ...(peer.exchangesMetadata ? ["istio-peer-exchange"] : []),
        "istio",
        ...(peer.http2 ? ["h2"] : []),
      ],
      tls_params: baseParameters,
      tls_certificate_sds_secret_configs: [workloadCertificate],
      combined_validation_context: {
        default_validation_context: matchNames(peer.subjectAltNames),
        validation_context_sds_secret_config: meshRoots,
      },
    },
    sni: peer.sni,
  };
}

export interface OriginatedTls {
  /** Names to accept where the settings give none: those of a ServiceEntry. */
  readonly fallbackNames: readonly string[];
  readonly http2: boolean;
  readonly tlsDefaults: MeshTlsSettings;
}

/**
 * TLS that the proxy originates (SIMPLE, MUTUAL) with certificates from files or a credential. Undefined where MUTUAL
 * lacks a certificate: then the cluster must not be sent, for it would speak plain text.
 */
export function buildOriginatedTlsContext(
  settings: ClientTlsSettings,
  { fallbackNames, http2, tlsDefaults }: OriginatedTls,
): UpstreamTlsContext | undefined {
  const given = settings.subjectAltNames ?? [];
  const names = given.length > 0 ? given : fallbackNames;
  const { credentialName = "" } = settings;
  const trust = credentialName === "" ? buildFileTrust(settings, names) : buildCredentialTrust(settings, names);
  if (trust === undefined) return undefined;
  return {
    common_tls_context: {
      ...(http2 ? { alpn_protocols: ["h2"] } : {}),
      tls_params: { ...baseParameters, ...convertTlsDefaults(tlsDefaults) },
      ...trust,
    },
    ...(settings.sni === undefined || settings.sni === "" ? {} : { sni: settings.sni }),
  };
}

function buildFileTrust(settings: ClientTlsSettings, names: readonly string[]): CommonTlsContext | undefined {
  const { clientCertificate = "", privateKey = "", caCertificates = "", caCrl = "" } = settings;
  const mutual = settings.mode === "MUTUAL";
  if (mutual && (clientCertificate === "" || privateKey === "")) return undefined;
  const identity = mutual
    ? { tls_certificate_sds_secret_configs: [buildFileCertificate(clientCertificate, privateKey)] }
    : {};
  if (settings.insecureSkipVerify === true) return { ...identity, validation_context: {} };
  return {
    ...identity,
    combined_validation_context: {
      default_validation_context: { ...matchNames(names), ...(caCrl === "" ? {} : { crl: { filename: caCrl } }) },
      validation_context_sds_secret_config: buildFileRoots(caCertificates === "" ? "system" : caCertificates),
    },
  };
}

function buildCredentialTrust(settings: ClientTlsSettings, names: readonly string[]): CommonTlsContext {
  const { credentialName = "" } = settings;
  const identity =
    settings.mode === "MUTUAL"
      ? { tls_certificate_sds_secret_configs: [buildCredentialCertificate(credentialName)] }
      : {};
  if (settings.insecureSkipVerify === true) return identity;
  return {
    ...identity,
    combined_validation_context: {
      default_validation_context: matchNames(names),
      validation_context_sds_secret_config: buildCredentialRoots(credentialName),
    },
  };
}

function matchNames(names: readonly string[]): CertificateValidationContext {
  return names.length === 0 ? {} : { match_subject_alt_names: names.map((exact) => ({ exact })) };
}

function convertTlsDefaults({ ecdhCurves = [], cipherSuites = [] }: MeshTlsSettings): TlsParameters {
  return {
    ...(ecdhCurves.length === 0 ? {} : { ecdh_curves: ecdhCurves }),
    ...(cipherSuites.length === 0 ? {} : { cipher_suites: cipherSuites }),
  };
}
