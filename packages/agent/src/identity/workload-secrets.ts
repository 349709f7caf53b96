/**
 * The certificate, key and roots of this workload, kept fresh: asked of a certificate authority and renewed in time, or
 * read from files that somebody else renews. What there is stays in use until there is something better.
 */
import { IssuedSecrets } from "./issued-secrets.ts";
import { MountedSecrets } from "./mounted-secrets.ts";
import { outputCertificates } from "./output-certificates.ts";
import type { WorkloadSecrets, WorkloadSecretsOptions } from "./secret-source.ts";

export type { AuthoritySource, WorkloadSecrets, WorkloadSecretsOptions } from "./secret-source.ts";

/** Nothing happens before start(). Throws RangeError for a key that no authority takes. */
export function createWorkloadSecrets(options: WorkloadSecretsOptions): WorkloadSecrets {
  const { source, outputDirectory, log } = options;
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
