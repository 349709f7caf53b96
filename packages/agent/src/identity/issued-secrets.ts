/** Secrets that an authority issues on request, renewed before they expire. */
import type { X509Certificate } from "node:crypto";
import { CertificateError, formatCertificate, parseCertificates } from "../../../../src/lib/certificate.ts";
import { formatInstant } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import { pause } from "../../../../src/lib/pause.ts";
import { requestCertificate } from "./ca-client.ts";
import { checkKeyKind, createCertificateRequest } from "./certificate-request.ts";
import { Changes } from "./changes.ts";
import { type KeyPair, parseKeyPair } from "./key-pair.ts";
import { retryDelay, rotationTime } from "./rotation-time.ts";
import type { AuthoritySource, WorkloadSecret, WorkloadSecrets, WorkloadSecretsOptions } from "./secret-source.ts";
import { mergeRoots } from "./trust-bundle.ts";
import { watchFiles } from "./watched-files.ts";

export type IssuedOptions = Omit<WorkloadSecretsOptions, "source"> & { readonly source: AuthoritySource };

interface Issued extends KeyPair {
  /** PEM. */
  readonly roots: string;
}

/** A machine that slept wakes up with timers that are late: the clock is looked at again after so long. */
const longestSleepMs = 600_000;

/** One request at a time; after a failure the next one waits, so that no trouble becomes a storm. */
export class IssuedSecrets implements WorkloadSecrets {
  readonly #options: IssuedOptions;
  readonly #log: Log;
  readonly #changes = new Changes();
  readonly #stopping = new AbortController();
  #first: Promise<void> | undefined;
  #settleFirst: () => void = () => undefined;
  #issued: readonly Issued[] = [];
  #fileRoots = "";
  #current: WorkloadSecret | undefined;
  #endWatch: () => void = () => undefined;

  constructor(options: IssuedOptions) {
    checkKeyKind(options.source.key);
    this.#options = options;
    this.#log = options.log.child({ component: "secrets" });
  }

  start(): Promise<void> {
    this.#first ??= new Promise((resolve) => {
      this.#settleFirst = resolve;
      this.#watchRoots();
      void this.#run();
    });
    return this.#first;
  }

  current(): WorkloadSecret | undefined {
    return this.#current;
  }

  onChange(run: () => void): () => void {
    return this.#changes.add(run);
  }

  stop(): void {
    this.#stopping.abort();
    this.#endWatch();
    this.#settleFirst();
  }

  #watchRoots(): void {
    const { rootsFile } = this.#options.source;
    if (rootsFile === undefined) return;
    this.#endWatch = watchFiles({
      paths: [rootsFile],
      debounceMs: this.#options.fileDebounceMs,
      clock: this.#options.clock,
      onTexts: ([text]) => {
        // A file that is gone for a moment takes no trust away.
        this.#fileRoots = text ?? this.#fileRoots;
        this.#publish();
      },
    });
  }

  /** Ends only when stopped. */
  async #run(): Promise<void> {
    const { clock, jitter } = this.#options;
    const { signal } = this.#stopping;
    let attempt = 0;
    while (!signal.aborted) {
      try {
        const issued = await this.#request();
        if (signal.aborted) return;
        attempt = 0;
        await this.#sleepUntil(this.#take(issued));
      } catch (error: unknown) {
        if (signal.aborted) return;
        attempt += 1;
        const delayMs = Math.round(retryDelay(attempt, jitter()));
        this.#log.warn("no certificate was issued, it is tried again", { error, attempt, delayMs });
        await pause(clock, delayMs, signal);
      }
    }
  }

  async #request(): Promise<Issued> {
    const { source, clock } = this.#options;
    const { signal } = this.#stopping;
    const { pem, privateKey } = await createCertificateRequest(source);
    const { upstream, lifetimeMs, certSigner } = source;
    const answer = await requestCertificate({ upstream, pem, lifetimeMs, certSigner, clock, signal });
    const roots = readRoots(answer);
    if (roots === "" && this.#fileRoots === "") throw new CertificateError("the authority's answer names no root");
    return { ...parseKeyPair(withoutRoots(answer, roots), privateKey.reveal(), clock.now()), roots };
  }

  /** Puts a certificate into use; gives the instant (milliseconds since the epoch) at which to renew it. */
  #take(issued: Issued): number {
    const { clock, jitter } = this.#options;
    const receivedMs = clock.now();
    const { notAfterMs, serialNumber } = issued;
    this.#issued = [issued, ...this.#issued.filter((each) => each.notAfterMs > receivedMs)];
    const renewalMs = rotationTime({ receivedMs, notAfterMs }, this.#options, jitter());
    const [notAfter, renewal] = [formatInstant(notAfterMs), formatInstant(renewalMs)];
    this.#log.info("a certificate was issued", { serialNumber, notAfter, renewal });
    this.#publish();
    this.#settleFirst();
    return renewalMs;
  }

  async #sleepUntil(instantMs: number): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    for (let leftMs = instantMs - clock.now(); leftMs > 0 && !signal.aborted; leftMs = instantMs - clock.now()) {
      await pause(clock, Math.min(leftMs, longestSleepMs), signal);
    }
  }

  #publish(): void {
    const [newest] = this.#issued;
    if (newest === undefined) return;
    const bundle = mergeRoots(this.#listRoots(newest), this.#options.clock.now());
    const { chain, privateKey, notAfterMs } = newest;
    const { expired, unreadable } = bundle;
    if (expired + unreadable > 0) this.#log.warn("some roots are left out", { expired, unreadable });
    if (this.#current?.chain === chain && this.#current.roots === bundle.roots) return;
    this.#current = { chain, privateKey, roots: bundle.roots, notAfterMs };
    this.#changes.notify();
  }

  /**
   * With a file, that says which roots count beside the newest; without one the roots of earlier answers stay for as long
   * as certificates of their time are valid, because peers still show them.
   */
  #listRoots(newest: Issued): readonly string[] {
    if (this.#fileRoots !== "") return [newest.roots, this.#fileRoots];
    return this.#issued.map(({ roots }) => roots);
  }
}

/** The last element is a root, or several (Istio: security/pkg/nodeagent/cache); others count where they sign themselves. */
function readRoots(answer: readonly string[]): string {
  const last = answer.length > 1 ? (answer.at(-1) ?? "") : "";
  const above = answer.slice(1).flatMap((pem) => [...parseCertificates(pem, "the authority's answer")]);
  const own = above.filter(isSelfIssued).map(formatCertificate);
  return [...own, ...(own.length > 0 ? [] : [last])].join("");
}

/** Peers have the roots: to send them along would be in vain. */
function withoutRoots(answer: readonly string[], roots: string): string {
  const all = answer.flatMap((pem) => [...parseCertificates(pem, "the authority's answer")]);
  const kept = all.filter((each, index) => index === 0 || !roots.includes(formatCertificate(each)));
  return kept.map(formatCertificate).join("");
}

const isSelfIssued = (certificate: X509Certificate): boolean => certificate.checkIssued(certificate);
