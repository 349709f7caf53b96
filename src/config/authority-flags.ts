/** Variables of the environment about the certificate authority of the mesh: where it comes from, and how roots change. */
import { type AnyFlag, defineFlag } from "./flag.ts";

export const authorityFlags = {
  rootCaDir: defineFlag({
    env: "ROOT_CA_DIR",
    type: "string",
    default: "./etc/cacerts",
    doc: "Directory with the certificate authority of the mesh (ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem, or tls.crt, tls.key, ca.crt; and ca-crl.pem); where it holds none, that of the cluster counts, or one is made that ends with this process.",
  }),
  usesCacerts: defineFlag({
    env: "USE_CACERTS_FOR_SELF_SIGNED_CA",
    type: "boolean",
    default: "false",
    doc: "Keep the authority that the mesh makes for itself in the Secret cacerts, not in istio-ca-secret.",
  }),
  rootLifetime: defineFlag({
    env: "CITADEL_SELF_SIGNED_CA_CERT_TTL",
    type: "duration",
    default: "87600h",
    doc: "Life of a root that the mesh makes for itself.",
  }),
  rootRsaBits: defineFlag({
    env: "CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE",
    type: "integer",
    default: "0",
    doc: "Bits of the RSA key of a root that the mesh makes for itself, 2048 at least; with 0 it has an ECDSA P-256 key.",
  }),
  rootCheckInterval: defineFlag({
    env: "CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL",
    type: "duration",
    default: "1h",
    doc: "Longest time between two looks at whether the mesh's own root has to be replaced (once a minute at least); 0 never replaces it.",
  }),
  rootGracePercent: defineFlag({
    env: "CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE",
    type: "integer",
    default: "20",
    doc: "The mesh's own root is replaced in the last so many hundredths of its life.",
  }),
  rootOverlap: defineFlag({
    env: "CA_ROOT_OVERLAP",
    type: "duration",
    default: "24h",
    doc: "How long a new root is distributed before anything is signed below it; at least as long as workloads take to hear of it.",
  }),
  rootConfigMap: defineFlag({
    env: "PILOT_CA_CERT_CONFIGMAP",
    type: "string",
    default: "istio-ca-root-cert",
    doc: "Name of the ConfigMap with the roots of the mesh that is written into every namespace; none is written where it is none.",
  }),
  crlConfigMap: defineFlag({
    env: "PILOT_CRL_CONFIGMAP",
    type: "string",
    default: "istio-ca-crl",
    doc: "Name of the ConfigMap with the revocation lists, beside that one; written where there are any.",
  }),
  caCrl: defineFlag({
    env: "PILOT_ENABLE_CA_CRL",
    type: "boolean",
    default: "true",
    doc: "Take revocation lists (ca-crl.pem) from what operators plug in, heed them and distribute them.",
  }),
  certProvider: defineFlag({
    env: "PILOT_CERT_PROVIDER",
    type: "string",
    default: "istiod",
    doc: "Who signs the certificate of this control plane where none is given in files: istiod for our own authority; with anything else nobody does, and neither xDS over TLS nor webhooks are served.",
  }),
  externalCa: defineFlag({
    env: "EXTERNAL_CA",
    type: "string",
    default: "",
    doc: "ISTIOD_RA_KUBERNETES_API has certificates of workloads signed by a signer of the Kubernetes API; our own authority signs where it is empty.",
  }),
  kubernetesSigner: defineFlag({
    env: "K8S_SIGNER",
    type: "string",
    default: "",
    doc: "Name of that signer, such as example.com/mesh.",
  }),
  certSignerDomain: defineFlag({
    env: "CERT_SIGNER_DOMAIN",
    type: "string",
    default: "",
    doc: "Domain of signers that workloads may choose: DOMAIN/NAME, by the metadata CertSigner of their request.",
  }),
} as const satisfies { readonly [key: string]: AnyFlag };
