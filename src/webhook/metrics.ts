/** What webhooks count, under istiod's names (pkg/webhooks, pkg/kube/inject/monitoring.go). */

export const webhookCounters = {
  galley_validation_passed: { help: "Resource is valid", labels: ["group", "version", "resource"] },
  galley_validation_failed: { help: "Resource validation failed", labels: ["group", "version", "resource", "reason"] },
  galley_validation_http_error: { help: "Resource validation http serve errors", labels: ["status"] },
  galley_validation_config_updates: { help: "k8s webhook configuration updates" },
  galley_validation_config_update_error: { help: "k8s webhook configuration update error", labels: ["reason"] },
  webhook_patch_attempts_total: { help: "Webhook patching attempts", labels: ["name"] },
  webhook_patch_retries_total: { help: "Webhook patching retries", labels: ["name"] },
  webhook_patch_failures_total: { help: "Webhook patching total failures", labels: ["name", "reason"] },
  sidecar_injection_requests_total: { help: "Total number of sidecar injection requests." },
  sidecar_injection_success_total: { help: "Total number of successful sidecar injection requests." },
  sidecar_injection_failure_total: { help: "Total number of failed sidecar injection requests." },
  sidecar_injection_skip_total: { help: "Total number of skipped sidecar injection requests." },
} as const;

export type WebhookCounter = keyof typeof webhookCounters;

/** Counts one event. */
export interface WebhookMetrics {
  count(name: WebhookCounter, labels?: { readonly [label: string]: string }): void;
}

/** The time that an answer about a pod took. */
export const injectionTime = {
  name: "sidecar_injection_time_seconds",
  help: "Total time taken for injection in seconds.",
  // istiod begins at 0.1 s, where all of ours would be one.
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1, 3, 5, 10, 20, 30, 60],
} as const;

export interface InjectionMetrics extends WebhookMetrics {
  /** Seconds. */
  observe(name: typeof injectionTime.name, value: number): void;
}
