/** The webhooks that the API server calls: their certificate, their server, and by leaders alone their configuration. */
import { AuthorityStoreError } from "../ca/authority-store.ts";
import type { LiveAuthority } from "../ca/live-authority.ts";
import type { ServingCertificates } from "../ca/serving-certificates.ts";
import type { Flags } from "../config/flags.ts";
import { startWebhookServer, type WebhookServer } from "../http/webhook-server.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/pause.ts";
import type { WebhookMetrics } from "../webhook/metrics.ts";
import { validateReview } from "../webhook/validate-review.ts";
import { createWebhookReconciler, type WebhookReconciler } from "../webhook/webhook-reconciler.ts";
import { createOwnCertificates } from "./mesh-authority.ts";

export interface WebhookOptions {
  readonly flags: Flags;
  readonly client: KubeClient;
  readonly authority: LiveAuthority;
  /** Whether reviews are answered; until then the API server is sent to another replica. */
  readonly isReady: () => boolean;
  readonly metrics: WebhookMetrics;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Webhook {
  /**
   * Resolves when webhooks are served, or after a while without them: proxies must not wait for a certificate. It goes on
   * trying then. Rejects where the port is taken.
   */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Leaders keep the configurations of the webhooks right. */
  setLeading(isLeader: boolean): void;
  /** 0 as long as nothing listens. */
  port(): number;
}

const patienceMs = 10_000;
const retryMs = 30_000;

export function createWebhook(options: WebhookOptions): Webhook {
  return new ValidationWebhook(options);
}

class ValidationWebhook implements Webhook {
  readonly #options: WebhookOptions;
  readonly #stopping = new AbortController();
  #certificates: ServingCertificates | undefined;
  #server: WebhookServer | undefined;
  #reconciler: WebhookReconciler | undefined;
  #isLeader = false;
  #begun: Promise<void> = Promise.resolve();
  #stopped: Promise<void> = Promise.resolve();

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    let isWaiting = true;
    this.#begun = this.#begin().catch((cause: unknown) => {
      if (isWaiting) throw cause;
      this.#options.log.error("webhooks are not served", { error: cause });
    });
    await Promise.race([this.#begun, pause(this.#options.clock, patienceMs, this.#stopping.signal)]);
    isWaiting = false;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#begun.catch(() => undefined);
    this.setLeading(false);
    await this.#stopped;
    await this.#server?.stop();
    this.#certificates?.stop();
  }

  setLeading(isLeader: boolean): void {
    this.#isLeader = isLeader;
    const reconciler = this.#reconciler;
    if (reconciler === undefined) return;
    // One after the other: a leader that loses and wins again must not have two of them at work.
    this.#stopped = this.#stopped.then(async () => {
      await reconciler.stop();
      if (this.#isLeader && !this.#stopping.signal.aborted) reconciler.start();
    });
  }

  port(): number {
    return this.#server?.port ?? 0;
  }

  async #begin(): Promise<void> {
    const { flags, client, metrics, clock, log, isReady } = this.#options;
    const certificates = await this.#loadCertificates();
    if (certificates === undefined) return;
    this.#certificates = certificates;
    this.#server = await startWebhookServer({
      address: flags.httpsAddr,
      certificates,
      validate: (review) => validateReview(review, metrics),
      isReady,
      metrics,
      log,
    });
    if (flags.validationWebhookConfigName === "none") return;
    this.#reconciler = createWebhookReconciler({
      client,
      selection: { names: [flags.validationWebhookConfigName], revision: flags.revision },
      namespace: flags.namespace,
      certificates,
      metrics,
      clock,
      log,
    });
    this.setLeading(this.#isLeader);
  }

  /** Undefined only where it was stopped meanwhile. */
  async #loadCertificates(): Promise<ServingCertificates | undefined> {
    const { log, clock } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        return await this.#tryCertificates(signal);
      } catch (cause) {
        if (signal.aborted) return undefined;
        // Somebody has to look at a Secret that cannot be used; nothing else waits for that.
        if (!(cause instanceof AuthorityStoreError)) throw cause;
        log.error("webhooks have no certificate, it is tried again", { error: cause, retryMs });
        await pause(clock, retryMs, signal);
      }
    }
    return undefined;
  }

  async #tryCertificates(signal: AbortSignal): Promise<ServingCertificates> {
    return createOwnCertificates({ ...this.#options, signal });
  }
}
