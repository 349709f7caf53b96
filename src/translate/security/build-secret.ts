/**
 * Credentials as SDS carries them (Istio: pilot/pkg/xds/sds.go toEnvoyTLSSecret, toEnvoyCaSecret). What comes in was given
 * for a grant: results hold keys and are for that identity alone.
 */
import { duration, packAny } from "@meltemi/protos";
import type { Secret, TlsCertificate } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import type { ProxyConfig } from "../../api/mesh-config/schema.ts";
import { parseDuration } from "../../lib/duration.ts";
import type { Opened } from "../../snapshot/credential-table.ts";

/** Hardware or libraries that compute with the key in Envoy's place (ProxyConfig.privateKeyProvider). */
export type PrivateKeyProvider = NonNullable<ProxyConfig["privateKeyProvider"]>;

/** The wire form of a credential under the name that the proxy asks by. */
export function buildSecret(
  name: string,
  opened: Exclude<Opened, { readonly kind: "nothing" }>,
  provider: PrivateKeyProvider | undefined,
): Secret {
  if (opened.kind === "roots") {
    const { certificates, revocations } = opened.content;
    return {
      name,
      validation_context: {
        trusted_ca: { inline_bytes: certificates },
        ...(revocations === undefined ? {} : { crl: { inline_bytes: revocations } }),
      },
    };
  }
  const { chain, privateKey, ocspStaple } = opened.content;
  const key = Buffer.from(privateKey.reveal(), "latin1");
  const byProvider = provider === undefined ? undefined : buildProvider(provider, key);
  return {
    name,
    tls_certificate: {
      certificate_chain: { inline_bytes: chain },
      ...(byProvider ?? { private_key: { inline_bytes: key } }),
      // A provider takes no staple, as in istiod.
      ...(ocspStaple === undefined || byProvider !== undefined ? {} : { ocsp_staple: { inline_bytes: ocspStaple } }),
    },
  };
}

/** The same secret with nothing in it that must not be seen. */
export function redactSecret({ name = "", tls_certificate: pair, validation_context: roots }: Secret): Secret {
  if (roots !== undefined) return { name, validation_context: roots };
  const { certificate_chain: chain } = pair ?? {};
  return {
    name,
    tls_certificate: {
      ...(chain === undefined ? {} : { certificate_chain: chain }),
      private_key: { inline_string: "[redacted]" },
    },
  };
}

function buildProvider(provider: PrivateKeyProvider, key: Uint8Array): Pick<TlsCertificate, "private_key_provider"> {
  const { cryptomb, qat } = provider;
  const [name, settings] = cryptomb === undefined ? (["qat", qat] as const) : (["cryptomb", cryptomb] as const);
  if (settings === undefined) return {};
  const config = {
    poll_delay: duration(parseDuration(settings.pollDelay ?? "0s") ?? 0),
    private_key: { inline_bytes: key },
  };
  const packed =
    name === "cryptomb"
      ? packAny("envoy.extensions.private_key_providers.cryptomb.v3alpha.CryptoMbPrivateKeyMethodConfig", config)
      : packAny("envoy.extensions.private_key_providers.qat.v3alpha.QatPrivateKeyMethodConfig", config);
  const fallback = settings.fallback === true;
  return { private_key_provider: { provider_name: name, typed_config: packed, ...(fallback ? { fallback } : {}) } };
}
