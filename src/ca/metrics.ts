/** What the certificate service counts, under istiod's names (security/pkg/server/ca/monitoring.go). */

export const certificateCounters = {
  citadel_server_csr_count: { help: "The number of CSRs received by Citadel server." },
  citadel_server_authentication_failure_count: { help: "The number of authentication failures." },
  citadel_server_csr_parsing_err_count: { help: "The number of errors occurred when parsing the CSR." },
  citadel_server_id_extraction_err_count: { help: "The number of errors occurred when extracting the ID from CSR." },
  citadel_server_csr_sign_err_count: { help: "The number of errors occurred when signing the CSR.", labels: ["error"] },
  citadel_server_success_cert_issuance_count: { help: "The number of certificates issuances that have succeeded." },
} as const;

export type CertificateCounter = keyof typeof certificateCounters;

/** Counts one event. */
export interface CertificateMetrics {
  count(name: CertificateCounter, labels?: { readonly [label: string]: string }): void;
}
