/**
 * The certificate, key and roots of this workload, kept fresh: asked of a certificate authority and renewed in time, or
 * read from files that somebody else renews. What there is stays in use until there is something better.
 */
import { resolve } from "node:path";
import { IssuedSecrets } from "./issued-secrets.ts";
import { MountedSecrets } from "./mounted-secrets.ts";
import { outputCertificates } from "./output-certificates.ts";
import type { SecretSourceOptions, WorkloadSecrets, WorkloadSecretsOptions } from "./secret-source.ts";

export type { AuthoritySource, WorkloadSecrets, WorkloadSecretsOptions } from "./secret-source.ts";

/** Nothing happens before start(). Throws RangeError for a key that no authority takes. */
export function createWorkloadSecrets(options: WorkloadSecretsOptions): WorkloadSecrets {
  const { outputDirectory, log } = options;
  const source = withoutOwnFile(options);
  const secrets =
    source.kind === "files" ? new MountedSecrets({ ...options, source }) : new IssuedSecrets({ ...options, source });
  if (outputDirectory !== undefined && outputDirectory !== "") {
    secrets.onChange(() => {
      const current = secrets.current();
      if (current !== undefined) outputCertificates(outputDirectory, current, log);
    });
  }
  return secrets;
}

/** A root that was read from the file that we write would never leave it. */
function withoutOwnFile({ source, outputDirectory = "" }: WorkloadSecretsOptions): SecretSourceOptions {
  if (source.kind === "files" || source.rootsFile === undefined || outputDirectory === "") return source;
  const { rootsFile, ...rest } = source;
  return resolve(rootsFile) === resolve(outputDirectory, "root-cert.pem") ? rest : source;
}
