/** Servers that need a certificate: it may take its time, and nothing else waits for it. */
import { AuthorityStoreError } from "../ca/authority-store.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/pause.ts";

const patienceMs = 10_000;
const retryMs = 30_000;

export interface PatientStartOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Aborted when the server is stopped. */
  readonly signal: AbortSignal;
  /** What is served, such as "xDS over TLS". */
  readonly name: string;
}

/** A start that has begun. */
export interface PatientStart {
  /** Resolves when it is done, or after a while without; it goes on then. Rejects where it fails in that while. */
  readonly started: Promise<void>;
  /** Resolves when nothing of it is under way any more. */
  readonly ended: Promise<void>;
}

/** Begins, and lets others go on after a while; what fails later is said in the log. */
export function startPatiently(begin: () => Promise<void>, options: PatientStartOptions): PatientStart {
  const { clock, log, signal, name } = options;
  let isWaiting = true;
  const begun = begin().catch((cause: unknown) => {
    if (isWaiting) throw cause;
    log.error(`${name}: not served`, { error: cause });
  });
  const started = Promise.race([begun, pause(clock, patienceMs, signal)]).then(() => {
    isWaiting = false;
  });
  return { started, ended: begun.catch(() => undefined) };
}

export interface CertificateWaitOptions extends PatientStartOptions {
  /** Whether somebody waits for the answer: then an authority that cannot be used is an error, not something to wait for. */
  readonly isStrict?: boolean;
}

/** What `attempt` gives; tried again while the authority is for somebody to put right. Undefined where it was stopped. */
export async function waitForCertificate<Value>(
  attempt: () => Promise<Value>,
  { clock, log, signal, name, isStrict = false }: CertificateWaitOptions,
): Promise<Value | undefined> {
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (cause) {
      if (signal.aborted) return undefined;
      if (!(cause instanceof AuthorityStoreError) || isStrict) throw cause;
      log.error(`${name}: there is no certificate, it is tried again`, { error: cause, retryMs });
      await pause(clock, retryMs, signal);
    }
  }
  return undefined;
}
