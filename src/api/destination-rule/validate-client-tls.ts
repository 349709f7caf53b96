import type { Findings, Path } from "../findings.ts";
import type { ClientTls } from "./schema.ts";

export interface ClientTlsContext {
  readonly path: Path;
  /** Namespace of the object that holds the settings. */
  readonly namespace: string;
  readonly findings: Findings;
}

const configMapPrefix = "configmap://";

/** Checks what each mode needs and what it must not have (ValidateTLS of Istio's pkg/config/validation/agent). */
export function checkClientTls(tls: ClientTls, context: ClientTlsContext): void {
  const { path, findings } = context;
  const { mode = "DISABLE", credentialName = "" } = tls;
  const files = (["clientCertificate", "privateKey", "caCertificates", "caCrl"] as const).filter(
    (field) => (tls[field] ?? "") !== "",
  );
  checkConfigMap(credentialName, context);
  if (mode === "ISTIO_MUTUAL" && (files.length > 0 || credentialName !== "")) {
    const given = [...files, ...(credentialName === "" ? [] : ["credentialName"])].join(", ");
    findings.warning(path, `${given}: not used, as ISTIO_MUTUAL brings its own certificates`, "no-effect");
  }
  if (mode !== "SIMPLE" && mode !== "MUTUAL") return;
  checkSkipVerify(tls, path, findings);
  if (credentialName !== "") {
    if (files.length > 0) {
      findings.error(path, `only one of credentialName, ${files.join(", ")} may be set`, "one-of");
    }
    return;
  }
  if (mode === "SIMPLE") return;
  for (const field of ["clientCertificate", "privateKey"] as const) {
    if ((tls[field] ?? "") === "") {
      findings.error([...path, field], "is required for MUTUAL without credentialName", "tls");
    }
  }
}

/** A config map is named with its namespace, which must be that of the object: "configmap://namespace/name". */
function checkConfigMap(credentialName: string, { path, namespace, findings }: ClientTlsContext): void {
  if (!credentialName.startsWith(configMapPrefix)) return;
  const [given = "", name = ""] = credentialName.slice(configMapPrefix.length).split("/");
  const at = [...path, "credentialName"];
  if (given === "" || name === "") findings.error(at, `must be ${configMapPrefix}NAMESPACE/NAME`, "tls");
  else if (given !== namespace) findings.error(at, `must be of namespace "${namespace}"`, "tls");
}

function checkSkipVerify(tls: ClientTls, path: Path, findings: Findings): void {
  if (tls.insecureSkipVerify !== true) return;
  // For MUTUAL the secret holds the client's own certificate.
  const excluded =
    tls.mode === "SIMPLE" ? (["caCertificates", "credentialName"] as const) : (["caCertificates"] as const);
  for (const field of [...excluded, "subjectAltNames"] as const) {
    if ((tls[field] ?? "").length > 0) {
      findings.error([...path, field], "cannot stand together with insecureSkipVerify", "tls");
    }
  }
}
