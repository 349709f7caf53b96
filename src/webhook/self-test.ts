import { groupVersionPath, istioResources } from "../api/resource-names.ts";
import { KubeApiError, type KubeClient } from "../kube/kube-client.ts";

/** What became of an object that has to be refused. */
export type SelfTestResult =
  /** `webhook` is the name of the one that refused. */
  { readonly kind: "refused"; readonly webhook: string } | { readonly kind: "not-refused"; readonly reason: string };

export interface SelfTestOptions {
  readonly client: KubeClient;
  /** Namespace of the control plane. */
  readonly namespace: string;
  /** Value of the label `istio.io/rev` of the object; undefined for none: webhooks of both kinds are there to be tested. */
  readonly revision: string | undefined;
  readonly signal: AbortSignal;
}

/** Istio refuses whatever has it (pkg/config/validation), and src/api does too. */
const alwaysRejectAnnotation = "internal.istio.io/webhook-always-reject";
const denial = /admission webhook "([^"]+)" denied the request/;

/**
 * Asks the API server, without consequences, to create a Gateway that is right but for Istio's annotation that asks for a
 * refusal. The schema has nothing against it, so only a webhook that knows the annotation can refuse it, and only where
 * the API server reaches it and believes its certificate. Rejects where the API server is not reached.
 */
export async function tryInvalidGateway({
  client,
  namespace,
  revision,
  signal,
}: SelfTestOptions): Promise<SelfTestResult> {
  const { group, versions, plural } = istioResources.Gateway;
  const version = versions[0] ?? "v1";
  const body = {
    apiVersion: `${group}/${version}`,
    kind: "Gateway",
    metadata: {
      name: "invalid-gateway",
      namespace,
      ...(revision === undefined ? {} : { labels: { "istio.io/rev": revision } }),
      annotations: { [alwaysRejectAnnotation]: "true" },
    },
    spec: {
      selector: { istio: "invalid-gateway" },
      servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["invalid-gateway.invalid"] }],
    },
  };
  const path = `${groupVersionPath(group, version)}/namespaces/${namespace}/${plural}`;
  try {
    await client.request({ method: "POST", path, query: { dryRun: "All" }, body, signal });
    return { kind: "not-refused", reason: "the API server took an object that has to be refused" };
  } catch (cause: unknown) {
    if (!(cause instanceof KubeApiError)) throw cause;
    const webhook = denial.exec(cause.message)?.[1];
    if (webhook !== undefined && cause.message.includes(alwaysRejectAnnotation)) return { kind: "refused", webhook };
    return { kind: "not-refused", reason: cause.message };
  }
}
