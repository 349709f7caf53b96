/**
 * Whether a caller may have a certificate for somebody else: node proxies ask for the workloads of their node (Istio:
 * security/pkg/server/ca/node_auth.go, which follows Kubernetes' own node authorization).
 */
import { KubeApiError, type KubeClient } from "../kube/kube-client.ts";
import type { Caller } from "../lib/caller.ts";
import { parseSpiffeIdentity, type SpiffeIdentity } from "../lib/spiffe.ts";

/** A pod as far as it says who runs where. */
export interface RunningPod {
  readonly uid: string;
  readonly serviceAccount: string;
  /** "" where it runs nowhere yet. */
  readonly node: string;
}

/** The pods of one cluster as they are now. Rejects where they cannot be looked up. */
export interface PodLookup {
  /** Pods that have failed are none. */
  find(namespace: string, name: string): Promise<RunningPod | undefined>;
  /** Whether a pod that has not failed runs under this account on the node. */
  runsOn(node: string, account: { readonly namespace: string; readonly serviceAccount: string }): Promise<boolean>;
}

export interface NodeAuthorizationOptions {
  /** Accounts, "namespace/name", that may ask for others (CA_TRUSTED_NODE_ACCOUNTS). */
  readonly trustedAccounts: ReadonlySet<string>;
  readonly pods: PodLookup;
  /** The trust domain of the mesh as it is now. */
  readonly trustDomain: () => string;
}

export type NodeAuthorization = (caller: Caller, requested: string) => Promise<SpiffeIdentity | { refusal: string }>;

/**
 * The identity that a caller may have a certificate for in place of their own, or why not: the caller's account is trusted,
 * its token is bound to a pod that still is the one that runs under its name, and a pod with the wanted account runs on the
 * same node. Rejects where the pods cannot be looked up.
 */
export function createNodeAuthorization(options: NodeAuthorizationOptions): NodeAuthorization {
  const { trustedAccounts, pods, trustDomain } = options;
  return async ({ identity: { namespace, serviceAccount }, pod }, requested) => {
    if (!trustedAccounts.has(`${namespace}/${serviceAccount}`)) {
      return refuse(`${namespace}/${serviceAccount} is not allowed to impersonate`);
    }
    const identity = parseSpiffeIdentity(requested);
    if (identity === undefined) return refuse("the impersonated identity is none of a workload");
    if (identity.trustDomain !== trustDomain()) return refuse("the impersonated identity is of another trust domain");
    if (pod === undefined) return refuse("the caller has not proven in which pod it runs");
    const running = await pods.find(namespace, pod.name);
    if (running === undefined) return refuse(`the pod ${namespace}/${pod.name} is not found`);
    if (running.uid !== pod.uid) return refuse(`the pod ${namespace}/${pod.name} is another one now`);
    if (running.serviceAccount !== serviceAccount) return refuse("the pod of the caller has another service account");
    if (running.node === "" || !(await pods.runsOn(running.node, identity))) {
      return refuse(`no pod of ${identity.namespace}/${identity.serviceAccount} runs on node ${running.node}`);
    }
    return identity;
  };
}

const refuse = (refusal: string) => ({ refusal });

const lookupTimeoutMs = 10_000;

/** Asks the API server each time: an answer of a moment ago would certify pods that are gone. */
export function createPodLookup(client: KubeClient): PodLookup {
  return {
    async find(namespace, name) {
      try {
        const path = `/api/v1/namespaces/${namespace}/pods/${encodeURIComponent(name)}`;
        return readPod(await client.request({ path, timeoutMs: lookupTimeoutMs }));
      } catch (cause: unknown) {
        if (cause instanceof KubeApiError && cause.status === 404) return undefined;
        throw cause;
      }
    },
    async runsOn(node, { namespace, serviceAccount }) {
      const wanted = { "spec.nodeName": node, "spec.serviceAccountName": serviceAccount };
      const selectors = Object.entries(wanted).map(([field, value]) => `${field}=${value}`);
      const query = { fieldSelector: [...selectors, "status.phase!=Failed"].join(","), limit: "1" };
      const path = `/api/v1/namespaces/${namespace}/pods`;
      const answer = (await client.request({ path, query, timeoutMs: lookupTimeoutMs })) as {
        readonly items?: unknown;
      };
      return Array.isArray(answer.items) && answer.items.length > 0;
    },
  };
}

interface PodObject {
  readonly metadata?: { readonly uid?: string };
  readonly spec?: { readonly serviceAccountName?: string; readonly nodeName?: string };
  readonly status?: { readonly phase?: string };
}

function readPod(answer: unknown): RunningPod | undefined {
  const { metadata, spec, status } = answer as PodObject;
  if (status?.phase === "Failed") return undefined;
  return {
    uid: metadata?.uid ?? "",
    serviceAccount: spec?.serviceAccountName ?? "",
    node: spec?.nodeName ?? "",
  };
}
