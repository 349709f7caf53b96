/** tls_params as options of the platform's contexts. */
import { createSecureContext, getCiphers, type SecureContextOptions, type SecureVersion } from "node:tls";
import type {
  TlsParameters,
  TlsParameters_TlsProtocol,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { ConfigError } from "../lib/config-error.ts";

const versions: Readonly<Record<Exclude<TlsParameters_TlsProtocol, "TLS_AUTO">, SecureVersion>> = {
  TLSv1_0: "TLSv1",
  TLSv1_1: "TLSv1.1",
  TLSv1_2: "TLSv1.2",
  TLSv1_3: "TLSv1.3",
};

/** Envoy's, in its order; those of TLS 1.3 cannot be chosen there. */
const modernSuites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
const defaultSuites = [
  "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
  "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
];
const defaultCurves = ["X25519", "P-256"];

/** Names that BoringSSL knows beside OpenSSL's. */
const suiteNames: ReadonlyMap<string, string> = new Map([
  ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"],
  ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"],
  ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"],
  ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
  ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
  ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"],
  ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA"],
  ["TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA"],
  ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"],
  ["TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"],
  ["TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"],
  ["TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384"],
  ["TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"],
  ["TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA"],
  ["ECDHE-ECDSA-CHACHA20-POLY1305-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"],
  ["ECDHE-RSA-CHACHA20-POLY1305-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"],
]);

/** Which side of a connection: clients speak TLS 1.3 only where they are told to, as in Envoy. */
export type TlsSide = "client" | "server";

/** Throws ConfigError for suites, curves and algorithms that do not exist. */
export function compileTlsParams(params: TlsParameters | undefined, side: TlsSide): SecureContextOptions {
  const minVersion = readVersion(params?.tls_minimum_protocol_version, "TLSv1.2");
  const maxVersion = readVersion(params?.tls_maximum_protocol_version, side === "client" ? "TLSv1.2" : "TLSv1.3");
  const suites = params?.cipher_suites ?? [];
  const curves = params?.ecdh_curves ?? [];
  const algorithms = params?.signature_algorithms ?? [];
  const options: SecureContextOptions = {
    minVersion,
    maxVersion,
    ciphers: formatSuites(suites.length > 0 ? suites : defaultSuites, minVersion),
    honorCipherOrder: true,
    ecdhCurve: (curves.length > 0 ? curves : defaultCurves).join(":"),
    ...(algorithms.length > 0 && { sigalgs: algorithms.join(":") }),
  };
  if (suites.length + curves.length + algorithms.length > 0) check("tls_params", options);
  return options;
}

function readVersion(version: TlsParameters_TlsProtocol | undefined, otherwise: SecureVersion): SecureVersion {
  return version === undefined || version === "TLS_AUTO" ? otherwise : versions[version];
}

function formatSuites(suites: readonly string[], minVersion: SecureVersion): string {
  // Of equal rank for BoringSSL in brackets; OpenSSL takes them in order.
  const names = suites.flatMap((suite) => suite.replaceAll(/[[\]]/g, "").split(/[|:]/)).filter((name) => name !== "");
  const known = names.map((name) => suiteNames.get(name) ?? name);
  const rejected = known.filter((name) => !isSuite(name));
  if (rejected.length > 0) {
    const list = suites.join(":");
    const reason = `Failed to initialize cipher suites ${list}. The following ciphers were rejected when tried individually: ${rejected.join(", ")}`;
    throw new ConfigError("tls_params.cipher_suites", reason);
  }
  // OpenSSL's level 0 permits what the older versions need; which suites are used is said here in any case.
  const level = minVersion === "TLSv1" || minVersion === "TLSv1.1" ? ["@SECLEVEL=0"] : [];
  return [...modernSuites, ...known, ...level].join(":");
}

const existingSuites: ReadonlySet<string> = new Set(getCiphers());

function isSuite(name: string): boolean {
  return name.startsWith("-") || name.startsWith("!") || existingSuites.has(name.toLowerCase());
}

function check(path: string, options: SecureContextOptions): void {
  try {
    createSecureContext({ ...options, ca: [] });
  } catch (cause: unknown) {
    throw new ConfigError(path, cause instanceof Error ? cause.message : String(cause));
  }
}
