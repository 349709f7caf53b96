/** A certificate and key that somebody else renews in files, such as a mounted Secret. */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { checkPair, formatCertificate, parseCertificates, parsePrivateKey } from "../lib/certificate.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { SecretText } from "../lib/secret-text.ts";
import { watchDirectories } from "./directory-watch.ts";
import type { ServingCertificate } from "./serving-certificate.ts";

export interface TlsFiles {
  /** The certificate, and those between it and the root. */
  readonly certFile: string;
  readonly keyFile: string;
  /** The roots that clients trust. */
  readonly caFile: string;
}

/** Reads the files. Rejects with CertificateError where they do not fit together, or the certificate does not hold now. */
export async function loadTlsFiles(files: TlsFiles, nowMs: number): Promise<ServingCertificate> {
  const [cert, key, ca] = await Promise.all(
    [files.certFile, files.keyFile, files.caFile].map((file) => readFile(file, "utf8")),
  );
  const chain = parseCertificates(cert ?? "", files.certFile);
  const privateKey = parsePrivateKey(key ?? "", files.keyFile);
  checkPair(chain[0], privateKey, nowMs);
  return {
    chain: chain.map(formatCertificate).join(""),
    privateKey: new SecretText(privateKey.export({ type: "pkcs8", format: "pem" }).toString()),
    roots: parseCertificates(ca ?? "", files.caFile)
      .map(formatCertificate)
      .join(""),
    notBeforeMs: chain[0].validFromDate.getTime(),
    notAfterMs: chain[0].validToDate.getTime(),
  };
}

export interface WatchTlsFilesOptions {
  readonly files: TlsFiles;
  readonly first: ServingCertificate;
  readonly clock: Clock;
  readonly log: Log;
  readonly onChange: (next: ServingCertificate) => void;
}

/** Watching can miss changes (network file systems): the files are read now and then in any case. */
const rescanMs = 60_000;

/** Reads the files again when they change. Half-written or wrong ones leave the old ones in use. The answer ends it. */
export function watchTlsFiles({ files, first, clock, log, onChange }: WatchTlsFilesOptions): () => void {
  let current = first;
  let timer: Timer | undefined;
  let isStopped = false;
  let lastProblem = "";
  const plan = (delayMs: number): void => {
    timer?.close();
    if (isStopped) return;
    timer = clock.after(delayMs, () => {
      timer = undefined;
      void reload();
    });
  };
  const reload = async (): Promise<void> => {
    try {
      const next = await loadTlsFiles(files, clock.now());
      lastProblem = "";
      if (!isStopped && !isSame(next, current)) {
        current = next;
        onChange(next);
      }
    } catch (error: unknown) {
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== lastProblem)
        log.warn("the files of the serving certificate cannot be used; the old ones stay", { error });
      lastProblem = problem;
    }
    // What happened meanwhile has planned the next look already.
    if (timer === undefined) plan(rescanMs);
  };
  const endWatch = watchDirectories(
    [files.certFile, files.keyFile, files.caFile].map((file) => dirname(file)),
    { clock, log, onSettled: () => plan(0) },
  );
  plan(rescanMs);
  return () => {
    isStopped = true;
    timer?.close();
    endWatch();
  };
}

function isSame(a: ServingCertificate, b: ServingCertificate): boolean {
  return a.chain === b.chain && a.roots === b.roots && a.privateKey.reveal() === b.privateKey.reveal();
}
