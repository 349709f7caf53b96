/**
 * Keeps the webhook configurations of this revision right: `caBundle` whenever it is emptied, edited or renewed, and of
 * those that validate `failurePolicy`, which starts as Ignore and becomes Fail when the API server was seen to reach the
 * webhook. Rules: Istio, pkg/webhooks/validation/controller and pkg/webhooks/webhookpatch.go.
 */
import { KubeApiError, type KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/pause.ts";
import { waitForChange } from "./change-watch.ts";
import type { WebhookMetrics } from "./metrics.ts";
import { tryInvalidGateway } from "./self-test.ts";
import {
  buildPatch,
  type ConfigurationSelection,
  configurationPaths,
  isSelected,
  parseConfigurationList,
  type WebhookConfiguration,
  type WebhookKind,
} from "./webhook-config.ts";

export interface WebhookReconcilerOptions {
  readonly client: KubeClient;
  /** Those that validate where not given. Those that inject are never opened or closed: who wrote them says what they are. */
  readonly kind?: WebhookKind;
  /** Which configurations are kept right (VALIDATION_WEBHOOK_CONFIG_NAME or INJECTION_WEBHOOK_CONFIG_NAME, revision). */
  readonly selection: ConfigurationSelection;
  /** Namespace of the control plane, for the self-test. */
  readonly namespace: string;
  /** Whom the API server has to trust, and news of it. */
  readonly certificates: { current(): { readonly roots: string }; onChange(run: () => void): () => void };
  readonly metrics: WebhookMetrics;
  readonly clock: Clock;
  readonly log: Log;
}

/** One replica runs at a time: the caller starts it with leadership and stops it without. */
export interface WebhookReconciler {
  start(): void;
  /** Resolves when nothing is asked of the API server any more. */
  stop(): Promise<void>;
}

/** All is looked at again this often, whatever the watch says. */
const resyncMs = 300_000;
const [firstRetryMs, longestRetryMs] = [500, 30_000];
/** Changes come in groups, our own among them; and somebody who edits against us costs five requests a second. */
const settleMs = 200;

export function createWebhookReconciler(options: WebhookReconcilerOptions): WebhookReconciler {
  let running: { readonly controller: AbortController; readonly end: Promise<void> } | undefined;
  return {
    start() {
      if (running !== undefined) return;
      const controller = new AbortController();
      running = { controller, end: new Run(options, controller.signal).loop() };
    },
    async stop() {
      const last = running;
      running = undefined;
      last?.controller.abort();
      await last?.end;
    },
  };
}

/** From one start to its stop. */
class Run {
  readonly #options: WebhookReconcilerOptions;
  readonly #signal: AbortSignal;
  readonly #log: Log;
  readonly #kind: WebhookKind;
  readonly #path: string;
  readonly #proven = new Set<string>();
  #retryMs = firstRetryMs;
  #lastReason = "";

  constructor(options: WebhookReconcilerOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#log = options.log.child({ component: "webhook" });
    this.#kind = options.kind ?? "validating";
    this.#path = configurationPaths[this.#kind];
  }

  /** Never rejects. */
  async loop(): Promise<void> {
    const { client, certificates, clock } = this.#options;
    while (!this.#signal.aborted) {
      let resourceVersion = "";
      let isDone = false;
      // Before anything is read, so that no renewal falls between reading and waiting.
      const wake = new AbortController();
      const endRenewal = certificates.onChange(() => wake.abort());
      try {
        const list = parseConfigurationList(await client.request({ path: this.#path, signal: this.#signal }));
        resourceVersion = list.resourceVersion;
        isDone = await this.#reconcile(list.configurations.filter((each) => isSelected(each, this.#options.selection)));
      } catch (error: unknown) {
        if (!this.#signal.aborted) this.#report("webhook configurations cannot be kept right", error);
      }
      this.#retryMs = isDone ? firstRetryMs : Math.min(this.#retryMs * 2, longestRetryMs);
      const waitMs = isDone ? resyncMs : this.#retryMs;
      const signal = AbortSignal.any([this.#signal, wake.signal]);
      await waitForChange({ client, clock, path: this.#path, resourceVersion, waitMs, signal });
      endRenewal();
      await pause(clock, settleMs, this.#signal);
    }
  }

  /** True where nothing is left to be done. */
  async #reconcile(configurations: readonly WebhookConfiguration[]): Promise<boolean> {
    if (configurations.length === 0) {
      this.#say(`no ${this.#kind} webhook configuration of this revision`);
      return true;
    }
    // The bundle first: without it the API server does not believe the webhook, and the self-test cannot pass.
    if (!(await this.#patchAll(configurations))) return false;
    if (this.#kind === "mutating") {
      this.#say("webhook configurations for injection are right");
      return true;
    }
    const open = configurations
      .flatMap(({ webhooks }) => webhooks)
      .filter(({ failurePolicy }) => failurePolicy !== "Fail");
    if (open.length === 0) {
      this.#say("webhook configurations are right, and fail closed");
      return true;
    }
    await this.#prove(configurations);
    // What was proven is written in the next round, on what is stored then.
    return false;
  }

  /** False where something was written, or was changed by somebody else meanwhile: what was read is old then. */
  async #patchAll(configurations: readonly WebhookConfiguration[]): Promise<boolean> {
    const { client, certificates } = this.#options;
    const wanted = { roots: certificates.current().roots, provenEndpoints: this.#proven };
    let isUnchanged = true;
    for (const configuration of configurations) {
      const body = buildPatch(configuration, wanted);
      if (body.length === 0) continue;
      isUnchanged = false;
      const path = `${this.#path}/${configuration.name}`;
      try {
        const contentType = "application/json-patch+json";
        await client.request({ method: "PATCH", path, contentType, body, signal: this.#signal });
        this.#countPatch(configuration.name);
        this.#log.info("patched a webhook configuration", {
          name: configuration.name,
          fields: body.slice(1).map(({ path }) => path),
        });
        this.#retryMs = firstRetryMs / 2;
      } catch (cause: unknown) {
        if (!(cause instanceof KubeApiError)) throw cause;
        this.#countPatch(configuration.name, cause);
        if (!isConflict(cause)) throw cause;
        this.#say("a webhook configuration was changed by another; it is looked at again", { reason: cause.message });
      }
    }
    return isUnchanged;
  }

  /** Lets the API server ask the webhooks to refuse something; notes who did. */
  async #prove(configurations: readonly WebhookConfiguration[]): Promise<void> {
    const { client, namespace, selection } = this.#options;
    const webhooks = configurations.flatMap((configuration) => configuration.webhooks);
    const reasons: string[] = [];
    for (const revision of [selection.revision, undefined]) {
      if (webhooks.every(({ endpoint }) => this.#proven.has(endpoint))) break;
      const result = await tryInvalidGateway({ client, namespace, revision, signal: this.#signal });
      if (result.kind === "not-refused") reasons.push(result.reason);
      else for (const { name, endpoint } of webhooks) if (name === result.webhook) this.#proven.add(endpoint);
    }
    const isProven = webhooks.some(({ endpoint }) => this.#proven.has(endpoint));
    // The API server takes a moment until it uses what was patched: soon again after progress, less often without.
    if (isProven) this.#retryMs = firstRetryMs / 2;
    else this.#say("webhooks fail open: the API server does not reach them yet", { reasons });
  }

  #countPatch(name: string, failure?: KubeApiError): void {
    const { metrics } = this.#options;
    if (this.#kind === "mutating") {
      metrics.count("webhook_patch_attempts_total", { name });
      if (failure === undefined) return;
      metrics.count("webhook_patch_failures_total", { name, reason: failure.reason });
      metrics.count("webhook_patch_retries_total", { name });
    } else if (failure === undefined) metrics.count("galley_validation_config_updates");
    else metrics.count("galley_validation_config_update_error", { reason: failure.reason });
  }

  #report(text: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (reason !== this.#lastReason) this.#log.warn(text, { error });
    this.#lastReason = reason;
  }

  /** The same thing is said once. */
  #say(text: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const reason = `${text}${JSON.stringify(fields)}`;
    if (reason !== this.#lastReason) this.#log.info(text, fields);
    this.#lastReason = reason;
  }
}

/** Changed or deleted since it was read; the API server answers 422 where the test of a JSON patch fails. */
const isConflict = ({ status }: KubeApiError): boolean => status === 409 || status === 422 || status === 404;
