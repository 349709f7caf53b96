/** Checks of TLS settings of servers, as istiod's webhook does them (validateTLSOptions of Istio's pkg/config/validation). */
import type { Findings, Path } from "../findings.ts";
import type { ServerTls } from "./schema.ts";

type Mode = NonNullable<ServerTls["mode"]>;

/** Certificates of a server, of which one way may be given. */
const sources = ["credentialName", "credentialNames", "tlsCertificates"] as const;
const files = ["serverCertificate", "privateKey", "caCertificates"] as const;
/** Modes that end TLS with certificates of the user's. */
const endingModes: ReadonlySet<Mode> = new Set<Mode>(["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"]);
const versions = ["TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"];
/** Cipher suites that Envoy knows, by OpenSSL's names. */
const cipherSuites: ReadonlySet<string> = new Set([
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
  "AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-SHA",
  "AES256-SHA",
  "DES-CBC3-SHA",
]);

/** Checks what each mode needs and what it must not have. */
export function checkServerTls(tls: ServerTls, path: Path, findings: Findings): void {
  const { mode = "PASSTHROUGH" } = tls;
  checkParameters(tls, path, findings);
  const given = listGiven(tls);
  if (mode === "ISTIO_MUTUAL") {
    if (given.length > 0) {
      findings.error(path, `ISTIO_MUTUAL brings its own certificates: ${given.join(", ")} must not be given`, "tls");
    }
    return;
  }
  if (!endingModes.has(mode) && (given.length > 0 || (tls.caCrl ?? "") !== "")) {
    findings.warning(path, `certificates have no effect in mode ${mode}`, "no-effect");
  }
  if (mode === "SIMPLE" && (tls.subjectAltNames ?? []).length > 0) {
    findings.warning([...path, "subjectAltNames"], "has no effect in mode SIMPLE, which asks no client", "no-effect");
  }
  const hasFiles = given.includes("serverCertificate") && given.includes("privateKey");
  const ways = [...sources.filter((source) => given.includes(source)), ...(hasFiles ? ["serverCertificate"] : [])];
  if (ways.length > 1) findings.error(path, `only one of ${ways.join(", ")} may be set`, "one-of");
  if (endingModes.has(mode)) {
    // Their secrets hold all that is checked below.
    if (given.includes("credentialName") || given.includes("credentialNames")) return;
    checkCertificates(tls, path, findings);
  }
  checkRevocation(tls, path, findings);
}

/** The fields with certificates that are set. */
function listGiven(tls: ServerTls): readonly string[] {
  return [...files, ...sources].filter((field) => (tls[field] ?? "").length > 0);
}

function checkCertificates(tls: ServerTls, path: Path, findings: Findings): void {
  const { tlsCertificates = [] } = tls;
  if (tls.mode !== "SIMPLE" && (tls.caCertificates ?? "") === "") {
    findings.error([...path, "caCertificates"], `is required for ${tls.mode} without credentialName`, "tls");
  }
  if (tlsCertificates.length > 2) {
    findings.warning([...path, "tlsCertificates"], "more than two certificates have no effect", "no-effect");
  }
  for (const field of ["serverCertificate", "privateKey"] as const) {
    if (tlsCertificates.length === 0 && (tls[field] ?? "") === "") {
      findings.error([...path, field], `is required for ${tls.mode} without credentialName`, "tls");
    }
    for (const [index, certificate] of tlsCertificates.entries()) {
      if ((certificate[field] ?? "") === "") {
        findings.error([...path, "tlsCertificates", index, field], "is required", "required");
      }
    }
  }
}

function checkRevocation(tls: ServerTls, path: Path, findings: Findings): void {
  if ((tls.caCrl ?? "") === "") return;
  if ((tls.credentialName ?? "") !== "") {
    findings.error([...path, "caCrl"], "cannot stand together with credentialName, whose secret may hold it", "tls");
  }
  if (tls.mode === "SIMPLE")
    findings.error([...path, "caCrl"], "cannot stand with SIMPLE, which asks no client", "tls");
}

function checkParameters(tls: ServerTls, path: Path, findings: Findings): void {
  const { minProtocolVersion = "", maxProtocolVersion = "", cipherSuites: suites = [] } = tls;
  const [lowest, highest] = [versions.indexOf(minProtocolVersion), versions.indexOf(maxProtocolVersion)];
  if (lowest >= 0 && highest >= 0 && lowest > highest) {
    findings.warning([...path, "minProtocolVersion"], "is above maxProtocolVersion: no client can connect", "tls");
  }
  if ((lowest === 0 || lowest === 1) && suites.length === 0) {
    findings.warning([...path, "minProtocolVersion"], "below 1.2 needs cipherSuites that go with it", "tls");
  }
  const seen = new Set<string>();
  for (const [index, suite] of suites.entries()) {
    const at = [...path, "cipherSuites", index];
    if (!isCipherSuite(suite)) findings.warning(at, `"${suite}" is not known and has no effect`, "no-effect");
    else if (seen.has(suite)) findings.warning(at, `"${suite}" is given twice`, "duplicate");
    seen.add(suite);
  }
}

/** True also for OpenSSL's operators, such as "-ALL" and "[A|B]". */
function isCipherSuite(suite: string): boolean {
  return suite === "" || suite === "ALL" || !/^[\p{L}\p{N}]/u.test(suite) || cipherSuites.has(suite);
}
