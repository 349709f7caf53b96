/** TLS of gRPC clients and servers that read xDS themselves: certificates come from their own files (row X72). */
import type {
  CertificateProviderPluginInstance,
  CommonTlsContext,
  CommonTlsContext_CertificateProviderInstance,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";

type Instance = CertificateProviderPluginInstance & CommonTlsContext_CertificateProviderInstance;

// The provider that the agent writes into the bootstrap of gRPC processes.
const identity: Instance = { instance_name: "default", certificate_name: "default" };
const roots: Instance = { instance_name: "default", certificate_name: "ROOTCA" };

/** Mutual TLS with the identities of the mesh; servers must prove one of the names, or any where there is none. */
export function buildGrpcTlsContext(subjectAltNames: readonly string[]): CommonTlsContext {
  const names = subjectAltNames.map((exact) => ({ exact }));
  return {
    tls_certificate_certificate_provider_instance: identity,
    combined_validation_context: {
      validation_context_certificate_provider_instance: roots,
      default_validation_context: names.length === 0 ? {} : { match_subject_alt_names: names },
    },
  };
}
