/** What webhooks count, under istiod's names (pkg/webhooks/validation/server and controller). */

export const webhookCounters = {
  galley_validation_passed: { help: "Resource is valid", labels: ["group", "version", "resource"] },
  galley_validation_failed: { help: "Resource validation failed", labels: ["group", "version", "resource", "reason"] },
  galley_validation_http_error: { help: "Resource validation http serve errors", labels: ["status"] },
  galley_validation_config_updates: { help: "k8s webhook configuration updates" },
  galley_validation_config_update_error: { help: "k8s webhook configuration update error", labels: ["reason"] },
} as const;

export type WebhookCounter = keyof typeof webhookCounters;

/** Counts one event. */
export interface WebhookMetrics {
  count(name: WebhookCounter, labels?: { readonly [label: string]: string }): void;
}
