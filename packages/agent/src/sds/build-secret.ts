/** Secrets as Envoy reads them (envoy.extensions.transport_sockets.tls.v3.Secret), encoded. */
import { duration, packAny } from "@meltemi/protos";
import type {
  CertificateValidationContext,
  TlsCertificate,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import type { Any } from "@meltemi/protos/google/protobuf";
import { secretHash } from "../../../../src/lib/hash.ts";
import type { SecretText } from "../../../../src/lib/secret-text.ts";

/** Hardware that keeps the work with private keys from Envoy's threads (ProxyConfig.privateKeyProvider). */
export interface PrivateKeyProvider {
  readonly kind: "cryptomb" | "qat";
  readonly pollDelayMs: number;
  /** BoringSSL where the hardware is missing. */
  readonly hasFallback: boolean;
}

export interface EncodedSecret {
  readonly resource: Any;
  /** Of the content; tells nothing of it. */
  readonly version: string;
}

export interface PairContent {
  /** PEM. */
  readonly chain: string;
  readonly privateKey: SecretText;
}

export function buildPair(name: string, pair: PairContent, provider?: PrivateKeyProvider): EncodedSecret {
  const key = bytesOf(pair.privateKey.reveal());
  const keyPart = provider === undefined ? { private_key: { inline_bytes: key } } : buildProvider(provider, key);
  return encodeSecret(name, {
    tls_certificate: { certificate_chain: { inline_bytes: bytesOf(pair.chain) }, ...keyPart },
  });
}

/** `revocations`: CRLs in PEM, "" for none. */
export function buildRoots(name: string, roots: string, revocations: string): EncodedSecret {
  const crl = revocations === "" ? {} : { crl: { inline_bytes: bytesOf(revocations) } };
  return encodeSecret(name, { validation_context: { trusted_ca: { inline_bytes: bytesOf(roots) }, ...crl } });
}

type Content =
  | { readonly tls_certificate: TlsCertificate }
  | { readonly validation_context: CertificateValidationContext };

function encodeSecret(name: string, content: Content): EncodedSecret {
  const resource = packAny("envoy.extensions.transport_sockets.tls.v3.Secret", { name, ...content });
  return { resource, version: secretHash(resource.value ?? new Uint8Array()) };
}

function buildProvider(
  { kind, pollDelayMs, hasFallback }: PrivateKeyProvider,
  key: Uint8Array,
): Pick<TlsCertificate, "private_key_provider"> {
  const config = { poll_delay: duration(pollDelayMs), private_key: { inline_bytes: key } };
  const typed =
    kind === "cryptomb"
      ? packAny("envoy.extensions.private_key_providers.cryptomb.v3alpha.CryptoMbPrivateKeyMethodConfig", config)
      : packAny("envoy.extensions.private_key_providers.qat.v3alpha.QatPrivateKeyMethodConfig", config);
  return {
    private_key_provider: { provider_name: kind, typed_config: typed, ...(hasFallback ? { fallback: true } : {}) },
  };
}

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
