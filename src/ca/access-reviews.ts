/**
 * Whether service accounts may read the Secrets of their namespaces, as the API server says (SubjectAccessReview; Istio:
 * pilot/pkg/credentials/kube/secrets.go). A yes holds for five minutes, a no for one; as long as somebody waits, it is
 * asked again then.
 */
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";

/** One who wants to know of an account; the last answer, kept up to date. */
export interface AccessWatch {
  /** Undefined as long as there is no answer. */
  mayRead(): boolean | undefined;
  close(): void;
}

export interface AccessReviews {
  /** `onChange` is called after each answer that differs from the last one. */
  watch(account: AccountName, onChange: () => void): AccessWatch;
  /** Asks no more. */
  stop(): void;
}

export interface AccountName {
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface AccessReviewsOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
}

const [grantedMs, deniedMs, failedMs] = [5 * 60_000, 60_000, 5_000];
const reviewTimeoutMs = 5_000;

export function createAccessReviews(options: AccessReviewsOptions): AccessReviews {
  return new CachedReviews(options);
}

interface Entry {
  readonly account: AccountName;
  readonly listeners: Set<() => void>;
  answer: boolean | undefined;
  timer: Timer | undefined;
}

class CachedReviews implements AccessReviews {
  readonly #options: AccessReviewsOptions;
  readonly #log: Log;
  /** By user name. An entry that nobody watches goes when its answer is too old: there are no more than proxies lately. */
  readonly #entries = new Map<string, Entry>();
  readonly #stopping = new AbortController();

  constructor(options: AccessReviewsOptions) {
    this.#options = options;
    this.#log = options.log.child({ component: "authorization" });
  }

  watch(account: AccountName, onChange: () => void): AccessWatch {
    const user = formatUser(account);
    let entry = this.#entries.get(user);
    if (entry === undefined) {
      entry = { account, listeners: new Set(), answer: undefined, timer: undefined };
      this.#entries.set(user, entry);
      void this.#ask(user, entry);
    }
    const watched = entry;
    // A function of its own for each watch: two watches may share their callback.
    const listener = (): void => onChange();
    watched.listeners.add(listener);
    return { mayRead: () => watched.answer, close: () => void watched.listeners.delete(listener) };
  }

  stop(): void {
    this.#stopping.abort();
    for (const { timer } of this.#entries.values()) timer?.close();
    this.#entries.clear();
  }

  async #ask(user: string, entry: Entry): Promise<void> {
    const verdict = await this.#review(user, entry.account.namespace);
    if (this.#stopping.signal.aborted) return;
    const answer = verdict === "granted";
    const periodMs = { granted: grantedMs, denied: deniedMs, failed: failedMs }[verdict];
    entry.timer = this.#options.clock.after(periodMs, () => this.#renew(user, entry));
    // What could not be asked is no reason to take anything away.
    if (verdict === "failed" && entry.answer !== undefined) return;
    if (entry.answer === answer) return;
    entry.answer = answer;
    for (const run of [...entry.listeners]) run();
  }

  #renew(user: string, entry: Entry): void {
    if (entry.listeners.size === 0) this.#entries.delete(user);
    else void this.#ask(user, entry);
  }

  async #review(user: string, namespace: string): Promise<"granted" | "denied" | "failed"> {
    try {
      const answer = await this.#options.client.request({
        method: "POST",
        path: "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        body: {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SubjectAccessReview",
          spec: { user, resourceAttributes: { namespace, verb: "list", resource: "secrets" } },
        },
        timeoutMs: reviewTimeoutMs,
        signal: this.#stopping.signal,
      });
      return isAllowed(answer) ? "granted" : "denied";
    } catch (error: unknown) {
      if (!this.#stopping.signal.aborted)
        this.#log.warn("the API server cannot be asked about an account", { user, error });
      return "failed";
    }
  }
}

const formatUser = ({ namespace, serviceAccount }: AccountName): string =>
  `system:serviceaccount:${namespace}:${serviceAccount}`;

function isAllowed(answer: unknown): boolean {
  const { status } = (typeof answer === "object" && answer !== null ? answer : {}) as {
    readonly status?: { readonly allowed?: unknown; readonly denied?: unknown };
  };
  return status?.allowed === true && status.denied !== true;
}
