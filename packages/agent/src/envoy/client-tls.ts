/** TLS from the bootstrap's clusters (tracers, collectors) to their servers: ClientTLSSettings of the ProxyConfig. */
import { type JsonObject, readText, readTexts } from "../config/json.ts";
import { extension, sdsSecret } from "./parts.ts";

export interface ClientTlsOptions {
  /** Server name where ISTIO_MUTUAL names none. */
  readonly defaultName: string;
  /** Offers HTTP/2 by ALPN. */
  readonly isHttp2: boolean;
  /** TLS_CLIENT_* of the metadata go before the paths of the settings. */
  readonly metadata: JsonObject;
}

/** Undefined for DISABLE and where there are no settings. */
export function buildClientTls(tls: JsonObject | undefined, options: ClientTlsOptions): JsonObject | undefined {
  const context = tls === undefined ? undefined : buildContext(tls, options);
  if (context === undefined) return undefined;
  return extension(
    "envoy.transport_sockets.tls",
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    context,
  );
}

function buildContext(tls: JsonObject, options: ClientTlsOptions): JsonObject | undefined {
  const { metadata, defaultName, isHttp2 } = options;
  const roots = readText(metadata, "TLS_CLIENT_ROOT_CERT") ?? readText(tls, "caCertificates");
  const fromFiles = roots === undefined ? undefined : sdsSecret(`file-root:${roots}`);
  const sni = readText(tls, "sni");
  switch (tls["mode"]) {
    case "SIMPLE":
      return buildCommon(tls, { roots: fromFiles, alpn: isHttp2 ? ["h2"] : [], sni });
    case "MUTUAL": {
      const chain = readText(metadata, "TLS_CLIENT_CERT_CHAIN") ?? readText(tls, "clientCertificate");
      const key = readText(metadata, "TLS_CLIENT_KEY") ?? readText(tls, "privateKey");
      const certificate = chain === undefined || key === undefined ? undefined : sdsSecret(`file-cert:${chain}~${key}`);
      return buildCommon(tls, { certificate, roots: fromFiles, alpn: isHttp2 ? ["h2"] : [], sni });
    }
    case "ISTIO_MUTUAL": {
      const alpn = isHttp2 ? ["istio", "h2"] : [];
      return buildCommon(tls, {
        certificate: sdsSecret("default"),
        roots: sdsSecret("ROOTCA"),
        alpn,
        sni: sni ?? defaultName,
      });
    }
    default:
      return undefined;
  }
}

interface CommonParts {
  readonly certificate?: JsonObject | undefined;
  readonly roots: JsonObject | undefined;
  readonly alpn: readonly string[];
  readonly sni: string | undefined;
}

function buildCommon(tls: JsonObject, { certificate, roots, alpn, sni }: CommonParts): JsonObject {
  // The kind of name is part of a typed matcher; each name may stand in either kind.
  const names = readTexts(tls, "subjectAltNames").flatMap((exact) =>
    ["DNS", "URI"].map((san_type) => ({ san_type, matcher: { exact } })),
  );
  const context = names.length === 0 ? {} : { match_typed_subject_alt_names: names };
  return {
    ...(sni === undefined ? {} : { sni }),
    common_tls_context: {
      ...(alpn.length === 0 ? {} : { alpn_protocols: alpn }),
      ...(certificate === undefined ? {} : { tls_certificate_sds_secret_configs: [certificate] }),
      combined_validation_context: {
        default_validation_context: context,
        ...(roots === undefined ? {} : { validation_context_sds_secret_config: roots }),
      },
    },
  };
}
