/**
 * TLS contexts of listeners: the inbound side of a sidecar and the servers of a gateway (Istio: security/authn/utils
 * BuildInboundTLS; networking/core BuildListenerTLSContext).
 */
import { bool } from "@meltemi/protos";
import type {
  CertificateValidationContext,
  CommonTlsContext,
  DownstreamTlsContext,
  SdsSecretConfig,
  TlsParameters,
  TlsParameters_TlsProtocol,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import {
  buildCredentialCertificate,
  buildCredentialRoots,
  buildFileCertificate,
  buildFileRoots,
  meshRoots,
  workloadCertificate,
} from "./sds.ts";

type Combined = NonNullable<CommonTlsContext["combined_validation_context"]>;

const httpAlpn = ["h2", "http/1.1"] as const;
// A TCP chain must also take "istio-peer-exchange", by which the two sides agree to exchange metadata first.
const tcpAlpn = ["istio-peer-exchange", ...httpAlpn] as const;

const quicAlpn = ["h3"] as const;

/** Ciphers of mesh traffic where the mesh names none. */
const meshCipherSuites: readonly string[] = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-GCM-SHA256",
];

// Envoy refuses a whole listener for one unknown cipher, so only those that Envoy knows pass (Istio: pkg/config/security).
const knownCipherSuites: ReadonlySet<string> = new Set([
  ...meshCipherSuites,
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
  "AES128-SHA",
  "AES256-SHA",
  "DES-CBC3-SHA",
]);

/** TLS settings of a server, as Gateway.servers[].tls and Sidecar.ingress[].tls state them. */
export interface ServerTlsSettings {
  readonly mode?: string | undefined;
  readonly credentialName?: string | undefined;
  readonly credentialNames?: readonly string[] | undefined;
  readonly serverCertificate?: string | undefined;
  readonly privateKey?: string | undefined;
  readonly caCertificates?: string | undefined;
  readonly caCrl?: string | undefined;
  readonly tlsCertificates?:
    | readonly { readonly serverCertificate?: string | undefined; readonly privateKey?: string | undefined }[]
    | undefined;
  readonly caCertCredentialName?: string | undefined;
  readonly insecureSkipVerify?: boolean | undefined;
  readonly subjectAltNames?: readonly string[] | undefined;
  readonly verifyCertificateSpki?: readonly string[] | undefined;
  readonly verifyCertificateHash?: readonly string[] | undefined;
  readonly minProtocolVersion?: string | undefined;
  readonly maxProtocolVersion?: string | undefined;
  readonly cipherSuites?: readonly string[] | undefined;
}

/** MeshConfig.tlsDefaults or meshMTLS. */
export interface MeshTlsSettings {
  readonly minProtocolVersion?: string | undefined;
  readonly cipherSuites?: readonly string[] | undefined;
  readonly ecdhCurves?: readonly string[] | undefined;
}

/** What the chain behind the context speaks: decides which protocols the server offers. "quic" is HTTP/3. */
export type DownstreamTraffic = "http" | "tcp" | "quic";

/**
 * The context of mutual TLS between workloads: the workload's own certificate, and clients of the given trust domains
 * only. The caller has decided by PeerAuthentication that the chain takes mutual TLS.
 */
export function buildInboundTlsContext(
  traffic: DownstreamTraffic,
  trustDomains: readonly string[],
  meshMtls: MeshTlsSettings = {},
): DownstreamTlsContext {
  const prefixes = trustDomains.map((domain) => ({ prefix: `spiffe://${domain}/` }));
  const ciphers = meshMtls.cipherSuites ?? [];
  return {
    common_tls_context: {
      alpn_protocols: traffic === "tcp" ? tcpAlpn : httpAlpn,
      tls_params: {
        cipher_suites: ciphers.length > 0 ? ciphers : meshCipherSuites,
        tls_minimum_protocol_version: meshMtls.minProtocolVersion === "TLSV1_3" ? "TLSv1_3" : "TLSv1_2",
        tls_maximum_protocol_version: "TLSv1_3",
      },
      tls_certificate_sds_secret_configs: [workloadCertificate],
      combined_validation_context: {
        default_validation_context: prefixes.length === 0 ? {} : { match_subject_alt_names: prefixes },
        validation_context_sds_secret_config: meshRoots,
      },
    },
    require_client_certificate: bool(true),
  };
}

/**
 * The context of a server that ends TLS; undefined where it passes it through (PASSTHROUGH, AUTO_PASSTHROUGH) or has
 * none. `traffic` is "tcp" for servers whose protocol is not HTTP. Over QUIC Envoy cannot ask clients for certificates.
 */
export function buildDownstreamTlsContext(
  settings: ServerTlsSettings,
  traffic: DownstreamTraffic,
  tlsDefaults: MeshTlsSettings = {},
): DownstreamTlsContext | undefined {
  const mode = settings.mode ?? "PASSTHROUGH";
  if (mode === "PASSTHROUGH" || mode === "AUTO_PASSTHROUGH") return undefined;
  const params = mode === "ISTIO_MUTUAL" ? undefined : buildTlsParameters(settings, tlsDefaults);
  return {
    common_tls_context: {
      alpn_protocols: listServerProtocols(mode, traffic),
      ...(params === undefined ? {} : { tls_params: params }),
      tls_certificate_sds_secret_configs: listCertificates(settings, mode),
      ...buildClientValidation(settings, mode, traffic),
    },
    require_client_certificate: bool(traffic !== "quic" && (mode === "MUTUAL" || mode === "ISTIO_MUTUAL")),
  };
}

function listServerProtocols(mode: string, traffic: DownstreamTraffic): readonly string[] {
  if (traffic === "quic") return quicAlpn;
  return mode === "ISTIO_MUTUAL" && traffic === "tcp" ? tcpAlpn : httpAlpn;
}

/** Keeps the ciphers that Envoy knows, each once, in the order given. */
export function filterCipherSuites(suites: readonly string[]): readonly string[] {
  return [...new Set(suites)].filter((suite) => knownCipherSuites.has(suite));
}

function listCertificates(settings: ServerTlsSettings, mode: string): readonly SdsSecretConfig[] {
  if (mode === "ISTIO_MUTUAL") return [workloadCertificate];
  const credentials = listCredentialNames(settings);
  if (credentials.length > 0) return credentials.map(buildCredentialCertificate);
  const pairs = settings.tlsCertificates ?? [];
  const files = pairs.length > 0 ? pairs : [settings];
  return files.map(({ serverCertificate = "", privateKey = "" }) =>
    serverCertificate === "" ? workloadCertificate : buildFileCertificate(serverCertificate, privateKey),
  );
}

/** `credentialNames` (RSA and ECDSA side by side) comes before `credentialName`. */
function listCredentialNames({ credentialNames = [], credentialName = "" }: ServerTlsSettings): readonly string[] {
  if (credentialNames.length > 0) return credentialNames;
  return credentialName === "" ? [] : [credentialName];
}

function buildClientValidation(
  settings: ServerTlsSettings,
  mode: string,
  traffic: DownstreamTraffic,
): CommonTlsContext {
  const names = settings.subjectAltNames ?? [];
  const match: CertificateValidationContext =
    names.length === 0 ? {} : { match_subject_alt_names: names.map((exact) => ({ exact })) };
  const [credential] = mode === "ISTIO_MUTUAL" ? [] : listCredentialNames(settings);
  // Istio states names of clients of a credential for SIMPLE as well; Envoy refuses a listener that checks names by no roots.
  if (mode === "SIMPLE") return {};
  // The certificate is still asked for and still says who the client is; only nobody vouches for it.
  const trust: CertificateValidationContext =
    settings.insecureSkipVerify === true ? { trust_chain_verification: "ACCEPT_UNTRUSTED" } : {};
  if (credential !== undefined) {
    const { caCertCredentialName: roots = "" } = settings;
    return combine(
      { ...match, ...buildPins(settings), ...trust },
      roots === "" ? buildCredentialRoots(credential) : buildCredentialCertificate(roots),
    );
  }
  // Without a secret nothing is checked that is not asked for, as over QUIC.
  if (traffic === "quic" && mode !== "OPTIONAL_MUTUAL") return {};
  const crl = settings.caCrl === undefined || settings.caCrl === "" ? {} : { crl: { filename: settings.caCrl } };
  const { caCertificates = "" } = settings;
  const fromFile = mode !== "ISTIO_MUTUAL" && caCertificates !== "";
  return combine({ ...match, ...crl, ...trust }, fromFile ? buildFileRoots(caCertificates) : meshRoots);
}

function combine(own: CertificateValidationContext, roots: SdsSecretConfig): CommonTlsContext {
  const combined: Combined = { default_validation_context: own, validation_context_sds_secret_config: roots };
  return { combined_validation_context: combined };
}

function buildPins({
  verifyCertificateSpki = [],
  verifyCertificateHash = [],
}: ServerTlsSettings): CertificateValidationContext {
  return {
    ...(verifyCertificateSpki.length === 0 ? {} : { verify_certificate_spki: verifyCertificateSpki }),
    ...(verifyCertificateHash.length === 0 ? {} : { verify_certificate_hash: verifyCertificateHash }),
  };
}

/** The server's own settings come before the mesh's defaults; undefined where neither says anything. */
function buildTlsParameters(settings: ServerTlsSettings, defaults: MeshTlsSettings): TlsParameters | undefined {
  const own = filterCipherSuites(settings.cipherSuites ?? []);
  const ciphers = own.length > 0 ? own : (defaults.cipherSuites ?? []);
  const curves = defaults.ecdhCurves ?? [];
  const minimum = convertTlsProtocol(settings.minProtocolVersion) ?? convertTlsProtocol(defaults.minProtocolVersion);
  const maximum = convertTlsProtocol(settings.maxProtocolVersion);
  const params: TlsParameters = {
    ...(minimum === undefined ? {} : { tls_minimum_protocol_version: minimum }),
    ...(maximum === undefined ? {} : { tls_maximum_protocol_version: maximum }),
    ...(ciphers.length === 0 ? {} : { cipher_suites: ciphers }),
    ...(curves.length === 0 ? {} : { ecdh_curves: curves }),
  };
  return Object.keys(params).length === 0 ? undefined : params;
}

/** "TLSV1_2" of Istio's API is "TLSv1_2" in Envoy's; undefined for TLS_AUTO, which leaves it to Envoy. */
function convertTlsProtocol(version: string | undefined): TlsParameters_TlsProtocol | undefined {
  switch (version) {
    case "TLSV1_0":
      return "TLSv1_0";
    case "TLSV1_1":
      return "TLSv1_1";
    case "TLSV1_2":
      return "TLSv1_2";
    case "TLSV1_3":
      return "TLSv1_3";
    default:
      return undefined;
  }
}
