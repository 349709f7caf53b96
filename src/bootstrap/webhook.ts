/** The webhooks that the API server calls: their certificate, their server, and by leaders alone their configuration. */
import type { LiveAuthority } from "../ca/live-authority.ts";
import type { ServingCertificates } from "../ca/serving-certificates.ts";
import type { Flags } from "../config/flags.ts";
import type { MeshMetrics } from "../http/metrics.ts";
import { startWebhookServer, type WebhookServer } from "../http/webhook-server.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { SnapshotBuilder } from "../snapshot/build.ts";
import { validateReview } from "../webhook/validate-review.ts";
import { createWebhookReconciler, type WebhookReconciler } from "../webhook/webhook-reconciler.ts";
import { type PatientStart, startPatiently, waitForCertificate } from "./certificate-wait.ts";
import { parseNames } from "./cluster.ts";
import { createInjection, type Injection } from "./injection.ts";
import { createOwnCertificates } from "./mesh-authority.ts";

export interface WebhookOptions {
  readonly flags: Flags;
  readonly client: KubeClient;
  readonly authority: LiveAuthority;
  /** Whether reviews are answered; until then the API server is sent to another replica. */
  readonly isReady: () => boolean;
  readonly metrics: MeshMetrics;
  /** The mesh as it is now, for the injection of pods. */
  readonly builder: SnapshotBuilder;
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
  /** To be called when the mesh has changed. */
  notify(): void;
  /** 0 as long as nothing listens. */
  port(): number;
}

export function createWebhook(options: WebhookOptions): Webhook {
  return new LiveWebhook(options);
}

class LiveWebhook implements Webhook {
  readonly #options: WebhookOptions;
  /** Answers about pods; undefined where they are not injected. */
  readonly #injection: Injection | undefined;
  readonly #stopping = new AbortController();
  #certificates: ServingCertificates | undefined;
  #server: WebhookServer | undefined;
  #reconcilers: readonly WebhookReconciler[] = [];
  #isLeader = false;
  #start: PatientStart | undefined;
  #stopped: Promise<void> = Promise.resolve();

  constructor(options: WebhookOptions) {
    this.#options = options;
    this.#injection = options.flags.injectEnabled
      ? createInjection({ ...options, snapshot: () => options.builder.current })
      : undefined;
  }

  async start(): Promise<void> {
    this.#start = startPatiently(() => this.#begin(), this.#waiting());
    await this.#start.started;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#start?.ended;
    this.setLeading(false);
    await this.#stopped;
    await this.#server?.stop();
    await this.#injection?.stop();
    this.#certificates?.stop();
  }

  setLeading(isLeader: boolean): void {
    this.#isLeader = isLeader;
    const reconcilers = this.#reconcilers;
    // One after the other: a leader that loses and wins again must not have two of them at work.
    this.#stopped = this.#stopped.then(async () => {
      await Promise.all(reconcilers.map((reconciler) => reconciler.stop()));
      if (!this.#isLeader || this.#stopping.signal.aborted) return;
      for (const reconciler of reconcilers) reconciler.start();
    });
  }

  notify(): void {
    this.#injection?.notify();
  }

  port(): number {
    return this.#server?.port ?? 0;
  }

  async #begin(): Promise<void> {
    const { flags, metrics, log, isReady } = this.#options;
    const { signal } = this.#stopping;
    const attempt = () => createOwnCertificates({ ...this.#options, signal });
    const certificates = await waitForCertificate(attempt, this.#waiting());
    if (certificates === undefined) {
      if (!signal.aborted) log.warn("webhooks are not served: this control plane has no certificate");
      return;
    }
    this.#certificates = certificates;
    await this.#injection?.start();
    this.#server = await startWebhookServer({
      address: flags.httpsAddr,
      certificates,
      validate: (review) => validateReview(review, metrics),
      ...(this.#injection === undefined ? {} : { inject: this.#injection }),
      isReady,
      metrics,
      log,
    });
    this.#reconcilers = this.#createReconcilers(certificates);
    this.setLeading(this.#isLeader);
  }

  #createReconcilers(certificates: ServingCertificates): readonly WebhookReconciler[] {
    const { flags } = this.#options;
    const { namespace, revision } = flags;
    const configured = [
      { kind: "validating", names: namesOf(flags.validationWebhookConfigName) },
      { kind: "mutating", names: this.#injection === undefined ? [] : namesOf(flags.injectionWebhookConfigName) },
    ] as const;
    return configured.flatMap(({ kind, names }) => {
      if (names.length === 0) return [];
      const selection = { names, revision };
      return [createWebhookReconciler({ ...this.#options, kind, selection, namespace, certificates })];
    });
  }

  #waiting(): Parameters<typeof waitForCertificate>[1] {
    const { clock, log } = this.#options;
    return { clock, log, signal: this.#stopping.signal, name: "webhooks" };
  }
}

const namesOf = (list: string): readonly string[] => (list === "none" ? [] : parseNames(list));
