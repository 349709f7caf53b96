/** The certificate of a server that listens with TLS: issued and renewed by the authority, or read from given files. */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { type Authority, issueServingCertificate } from "./authority.ts";
import type { LiveAuthority } from "./live-authority.ts";
import type { ServingCertificate } from "./serving-certificate.ts";
import { loadTlsFiles, type TlsFiles, watchTlsFiles } from "./tls-files.ts";

export interface ServingCertificates {
  /** The one to use from now on. */
  current(): ServingCertificate;
  /** Calls `run` after each change of current(); the answer ends that. */
  onChange(run: () => void): () => void;
  /** No renewal any more. */
  stop(): void;
}

/** Where the certificate comes from. */
export type ServingSource =
  | {
      readonly kind: "authority";
      /** A live one has the certificate issued anew when another authority takes over. */
      readonly authority: Authority | LiveAuthority;
      /** DNS names and IP addresses by which clients reach the server. */
      readonly names: readonly string[];
      /** 24 hours to 90 days; 30 days where not given. */
      readonly lifetimeMs?: number;
    }
  | { readonly kind: "files"; readonly files: TlsFiles };

export interface ServingCertificatesOptions {
  readonly source: ServingSource;
  readonly clock: Clock;
  readonly log: Log;
}

const hourMs = 3_600_000;
const [shortestLifeMs, usualLifeMs, longestLifeMs] = [24 * hourMs, 30 * 24 * hourMs, 90 * 24 * hourMs];
const [firstRetryMs, longestRetryMs] = [1_000, 60_000];

/**
 * The names of the control plane's Service, as the API server and proxies call it: istiod's names too, for data planes
 * that were made for Istio (pilot/pkg/bootstrap/server.go). `more` is added, and each name stands once.
 */
export function listServiceNames(namespace: string, revision: string, more: readonly string[] = []): readonly string[] {
  const suffix = revision === "" || revision === "default" ? [] : [`-${revision}`];
  const services = ["", ...suffix].flatMap((end) => [`meltemi${end}`, `istiod${end}`]);
  services.push("istiod-remote", "istio-pilot");
  return [...new Set([...services.map((service) => `${service}.${namespace}.svc`), ...more])];
}

/** Makes or reads the first certificate. Rejects with CertificateError where there is none to be had. */
export async function createServingCertificates(options: ServingCertificatesOptions): Promise<ServingCertificates> {
  const { source } = options;
  const log = options.log.child({ component: "ca" });
  if (source.kind === "files") {
    const first = await loadTlsFiles(source.files, options.clock.now());
    const holder = new Holder(first, log);
    holder.endsWith(
      watchTlsFiles({ ...options, log, files: source.files, first, onChange: (next) => holder.set(next) }),
    );
    return holder;
  }
  const { authority } = source;
  const issueBy = (signer: Authority): Promise<ServingCertificate> => issueOwn(signer, source, options.clock.now());
  const issue = (): Promise<ServingCertificate> =>
    "load" in authority ? authority.load().then(issueBy) : issueBy(authority);
  const holder = new Holder(await issue(), log);
  const renewal = new Renewal(holder, issue, { clock: options.clock, log });
  renewal.plan();
  const forget = "load" in authority ? authority.onChange(() => renewal.runNow()) : () => undefined;
  holder.endsWith(() => {
    forget();
    renewal.stop();
  });
  return holder;
}

async function issueOwn(
  authority: Authority,
  { names, lifetimeMs = usualLifeMs }: Extract<ServingSource, { kind: "authority" }>,
  nowMs: number,
): Promise<ServingCertificate> {
  const bounded = Math.min(Math.max(lifetimeMs, shortestLifeMs), longestLifeMs);
  const issued = await issueServingCertificate(authority, { names, lifetimeMs: bounded, nowMs });
  return { ...issued, roots: authority.roots };
}

class Holder implements ServingCertificates {
  readonly #log: Log;
  readonly #listeners = new Set<() => void>();
  #current: ServingCertificate;
  #end: () => void = () => undefined;

  constructor(first: ServingCertificate, log: Log) {
    this.#current = first;
    this.#log = log;
  }

  current(): ServingCertificate {
    return this.#current;
  }

  set(next: ServingCertificate): void {
    this.#current = next;
    this.#log.info("the serving certificate was renewed", { notAfterMs: next.notAfterMs });
    for (const run of this.#listeners) run();
  }

  onChange(run: () => void): () => void {
    this.#listeners.add(run);
    return () => void this.#listeners.delete(run);
  }

  endsWith(end: () => void): void {
    this.#end = end;
  }

  stop(): void {
    this.#end();
  }
}

/** Issues anew when two thirds of the life are over, and tries again after a failure while the old one still serves. */
class Renewal {
  readonly #holder: Holder;
  readonly #issue: () => Promise<ServingCertificate>;
  readonly #clock: Clock;
  readonly #log: Log;
  #timer: Timer | undefined;
  #retryMs = firstRetryMs;
  #isStopped = false;

  constructor(holder: Holder, issue: () => Promise<ServingCertificate>, { clock, log }: { clock: Clock; log: Log }) {
    this.#holder = holder;
    this.#issue = issue;
    this.#clock = clock;
    this.#log = log;
  }

  plan(): void {
    const { notBeforeMs, notAfterMs } = this.#holder.current();
    const dueMs = notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3;
    // Near the end of the authority's own life certificates are short; that must not become a busy loop.
    this.#start(Math.max(dueMs - this.#clock.now(), longestRetryMs));
  }

  runNow(): void {
    this.#timer?.close();
    void this.#run();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.close();
  }

  #start(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => void this.#run());
  }

  async #run(): Promise<void> {
    try {
      const next = await this.#issue();
      if (this.#isStopped) return;
      this.#retryMs = firstRetryMs;
      this.#holder.set(next);
      this.plan();
    } catch (error: unknown) {
      if (this.#isStopped) return;
      this.#log.error("the serving certificate cannot be renewed", { error, retryMs: this.#retryMs });
      this.#start(this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
    }
  }
}
