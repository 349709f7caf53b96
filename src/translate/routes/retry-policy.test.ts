import { toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { testKey } from "../../../test/support/scope-views.ts";
import type { HttpRetry } from "../../api/virtual-service/schema.ts";
import { buildRetryPolicy } from "./retry-policy.ts";

const { capabilities } = testKey;
const defaults = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const previousHosts = {
  host_selection_retry_max_attempts: "5",
  retry_host_predicate: [
    {
      name: "envoy.retry_host_predicates.previous_hosts",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
      },
    },
  ],
};

function json(retries: HttpRetry | undefined, context: Partial<Parameters<typeof buildRetryPolicy>[1]> = {}): unknown {
  const policy = buildRetryPolicy(retries, { capabilities, hasConsistentHash: false, ...context });
  return policy === undefined ? undefined : toJson("envoy.config.route.v3.RetryPolicy", policy);
}

describe("buildRetryPolicy", () => {
  const cases: readonly (readonly [string, HttpRetry | undefined, unknown])[] = [
    ["nothing", undefined, { num_retries: 2, retry_on: defaults, ...previousHosts }],
    ["attempts", { attempts: 4 }, { num_retries: 4, retry_on: defaults, ...previousHosts }],
    ["no attempts", { attempts: 0, retryOn: "5xx" }, undefined],
    ["a policy that says nothing of attempts", { retryOn: "5xx" }, undefined],
    [
      "conditions with codes",
      { attempts: 1, retryOn: "gateway-error, 503,599" },
      {
        num_retries: 1,
        retry_on: "gateway-error,599,retriable-status-codes",
        retriable_status_codes: [503],
        ...previousHosts,
      },
    ],
    [
      "codes with their condition",
      { attempts: 1, retryOn: "retriable-status-codes,503,504" },
      { num_retries: 1, retry_on: "retriable-status-codes", retriable_status_codes: [503, 504], ...previousHosts },
    ],
    [
      "times",
      { attempts: 1, perTryTimeout: "2s", backoff: "100ms" },
      {
        num_retries: 1,
        retry_on: defaults,
        per_try_timeout: "2s",
        retry_back_off: { base_interval: "0.100s" },
        ...previousHosts,
      },
    ],
    [
      "other localities",
      { attempts: 1, retryRemoteLocalities: true },
      {
        num_retries: 1,
        retry_on: defaults,
        retry_priority: {
          name: "envoy.retry_priorities.previous_priorities",
          typed_config: {
            "@type":
              "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            update_frequency: 2,
          },
        },
        ...previousHosts,
      },
    ],
    [
      "the same hosts again",
      { attempts: 1, retryIgnorePreviousHosts: false },
      { num_retries: 1, retry_on: defaults, host_selection_retry_max_attempts: "5" },
    ],
  ];

  it.each(cases)("builds %s", (_name, retries, expected) => {
    expect(json(retries)).toEqual(expected);
  });

  it("stays on the host that a hash picks, unless the rule says otherwise", () => {
    expect(json(undefined, { hasConsistentHash: true })).not.toHaveProperty("retry_host_predicate");
    const asked = json({ attempts: 1, retryIgnorePreviousHosts: true }, { hasConsistentHash: true });
    expect(asked).toHaveProperty("retry_host_predicate");
  });

  it("leaves out extensions that the proxy does not list", () => {
    const policy = json(
      { attempts: 1, retryRemoteLocalities: true },
      { capabilities: { ...capabilities, extensions: new Set(["envoy.filters.http.router"]) } },
    );
    expect(policy).toEqual({ num_retries: 1, retry_on: defaults, host_selection_retry_max_attempts: "5" });
  });
});
