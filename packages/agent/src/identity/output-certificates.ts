/** Writes the workload's secrets to files for programs that read no SDS (OUTPUT_CERTS). */
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../../../../src/lib/log.ts";
import type { WorkloadSecret } from "./secret-source.ts";

/** One after the other, each in one step; nobody but the owner may read them. What fails is logged. */
export function outputCertificates(directory: string, secret: WorkloadSecret, log: Log): void {
  const files = [
    ["key.pem", secret.privateKey.reveal()],
    ["cert-chain.pem", secret.chain],
    ["root-cert.pem", secret.roots],
  ] as const;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const [name, text] of files) replaceFile(join(directory, name), text);
  } catch (error: unknown) {
    log.error("certificates cannot be written to files", { error, directory });
  }
}

function replaceFile(path: string, text: string): void {
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  // "wx": what somebody else put there meanwhile is not written to.
  writeFileSync(draft, text, { mode: 0o600, flag: "wx" });
  chmodSync(draft, 0o600);
  renameSync(draft, path);
}
