/** What a resource name of the secret discovery service asks for (Istio: pkg/security SdsCertificateConfig). */
export type SecretName =
  /** The workload's certificate and key. */
  | { readonly kind: "workload" }
  /** Whom its peers' certificates have to lead to. */
  | { readonly kind: "roots" }
  | { readonly kind: "file-pair"; readonly certificateFile: string; readonly keyFile: string }
  | { readonly kind: "file-roots"; readonly rootsFile: string }
  /** The roots that the operating system trusts. */
  | { readonly kind: "system-roots" };

/** Undefined for a name that nothing answers to. */
export function parseSecretName(name: string): SecretName | undefined {
  if (name === "default") return { kind: "workload" };
  if (name === "ROOTCA") return { kind: "roots" };
  if (name === "file-root:system") return { kind: "system-roots" };
  const [kind, rest] = splitOnce(name);
  const files = rest.split("~");
  if (files.includes("")) return undefined;
  const [first = "", second = ""] = files;
  if (kind === "file-cert" && files.length === 2) return { kind: "file-pair", certificateFile: first, keyFile: second };
  if (kind === "file-root" && files.length === 1) return { kind: "file-roots", rootsFile: first };
  return undefined;
}

function splitOnce(name: string): readonly [string, string] {
  const colon = name.indexOf(":");
  return colon === -1 ? [name, ""] : [name.slice(0, colon), name.slice(colon + 1)];
}
