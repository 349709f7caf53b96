/**
 * Tokens of Kubernetes service accounts as proof of identity: the API server says whose a token is (TokenReview; Istio:
 * security/pkg/server/ca/authenticate/kubeauth and security/pkg/k8s/tokenreview). Nothing is read of a token before the
 * API server has found it good.
 */
import { createHash } from "node:crypto";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Authentication, Authenticator, CallerPod, PeerCredentials } from "../lib/caller.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { SecretText } from "../lib/secret-text.ts";
import { isNamespaceName, isServiceAccountName, type SpiffeIdentity } from "../lib/spiffe.ts";

export interface TokenAuthenticatorOptions {
  readonly client: KubeClient;
  /** Audiences of which a token must have one (TOKEN_AUDIENCES). */
  readonly audiences: readonly string[];
  /** Name of the cluster whose tokens these are; callers that name another one are refused. */
  readonly clusterId: string;
  /** The trust domain of the mesh as it is now. */
  readonly trustDomain: () => string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Longer ones are no tokens of service accounts. */
const maxTokenLength = 16 * 1024;
/** What the API server said of a token holds for so long, and of a good one at most until it expires. */
const [goodForMs, badForMs] = [60_000, 10_000];
const maxRemembered = 10_000;
const reviewTimeoutMs = 10_000;

export function createTokenAuthenticator(options: TokenAuthenticatorOptions): Authenticator {
  const reviews = new Reviews(options);
  return {
    name: "Kubernetes token",
    async authenticate(credentials) {
      const [token] = credentials.bearerTokens;
      if (token === undefined) return { kind: "absent" };
      const cluster = findCluster(credentials);
      if (cluster !== "" && cluster !== options.clusterId) {
        return refuse(`the client says it is of cluster ${JSON.stringify(cluster)}; this one is ${options.clusterId}`);
      }
      const text = token.reveal();
      if (text.length > maxTokenLength || !tokenForm.test(text))
        return refuse("the token is none of a service account");
      const account = await reviews.review(token);
      if ("refusal" in account) return refuse(account.refusal);
      const { pod, ...names } = account;
      const identity: SpiffeIdentity = { trustDomain: options.trustDomain(), ...names };
      return { kind: "authenticated", caller: { identity, source: "token", ...(pod === undefined ? {} : { pod }) } };
    },
  };
}

const tokenForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

const refuse = (reason: string): Authentication => ({ kind: "refused", reason });

/** Several values mean nothing. */
function findCluster({ clusterIds }: PeerCredentials): string {
  return clusterIds.length === 1 ? (clusterIds[0] ?? "") : "";
}

interface Account extends Pick<SpiffeIdentity, "namespace" | "serviceAccount"> {
  readonly pod?: CallerPod;
}
type Verdict = Account | { readonly refusal: string };

/** Verdicts of the API server by the hash of the token, for a while. */
class Reviews {
  readonly #options: TokenAuthenticatorOptions;
  readonly #log: Log;
  readonly #verdicts = new Map<string, { readonly verdict: Verdict; readonly untilMs: number }>();
  readonly #underWay = new Map<string, Promise<Verdict>>();

  constructor(options: TokenAuthenticatorOptions) {
    this.#options = options;
    this.#log = options.log.child({ component: "authentication" });
  }

  async review(token: SecretText): Promise<Verdict> {
    const { clock } = this.#options;
    const key = createHash("sha256").update(token.reveal()).digest("base64");
    const known = this.#verdicts.get(key);
    if (known !== undefined && known.untilMs > clock.now()) return known.verdict;
    const underWay = this.#underWay.get(key) ?? this.#ask(key, token);
    this.#underWay.set(key, underWay);
    return underWay;
  }

  async #ask(key: string, token: SecretText): Promise<Verdict> {
    const { audiences, client, clock } = this.#options;
    try {
      const answer = await client.request({
        method: "POST",
        path: "/apis/authentication.k8s.io/v1/tokenreviews",
        body: {
          apiVersion: "authentication.k8s.io/v1",
          kind: "TokenReview",
          spec: { token: token.reveal(), audiences },
        },
        timeoutMs: reviewTimeoutMs,
      });
      const now = clock.now();
      const expiryMs = readExpiry(token);
      const verdict = judge(readReview(answer, audiences), expiryMs, now);
      const untilMs = "refusal" in verdict ? now + badForMs : Math.min(now + goodForMs, expiryMs ?? now);
      this.#remember(key, { verdict, untilMs });
      return verdict;
    } catch (error: unknown) {
      // Not remembered: the next call asks again.
      this.#log.warn("the API server cannot be asked about a token", { error });
      return { refusal: "the API server could not be asked about the token" };
    } finally {
      this.#underWay.delete(key);
    }
  }

  #remember(key: string, entry: { readonly verdict: Verdict; readonly untilMs: number }): void {
    this.#verdicts.delete(key);
    this.#verdicts.set(key, entry);
    const [oldest] = this.#verdicts.keys();
    if (this.#verdicts.size > maxRemembered && oldest !== undefined) this.#verdicts.delete(oldest);
  }
}

/**
 * The token's own word on its end, after the API server has found it good: one that never ends is one of those that lie in
 * Secrets (kubernetes.io/service-account-token), bound to no pod and no audience.
 */
function judge(verdict: Verdict, expiryMs: number | undefined, nowMs: number): Verdict {
  if ("refusal" in verdict) return verdict;
  if (expiryMs === undefined) return { refusal: "the token never expires: it is none that a pod is given" };
  return expiryMs <= nowMs ? { refusal: "the token has expired" } : verdict;
}

interface ReviewStatus {
  readonly authenticated?: unknown;
  readonly error?: unknown;
  readonly audiences?: unknown;
  readonly user?: { readonly username?: unknown; readonly groups?: unknown; readonly extra?: unknown };
}

/** Only an answer that says everything that it must say is a good one. */
function readReview(answer: unknown, audiences: readonly string[]): Verdict {
  const { status } = (typeof answer === "object" && answer !== null ? answer : {}) as {
    readonly status?: ReviewStatus;
  };
  if (typeof status?.error === "string" && status.error !== "")
    return { refusal: `the API server says: ${status.error}` };
  if (status?.authenticated !== true) return { refusal: "the API server does not know the token" };
  const granted = listTexts(status.audiences);
  if (!audiences.some((audience) => granted.includes(audience))) return { refusal: "the token has another audience" };
  if (!listTexts(status.user?.groups).includes("system:serviceaccounts")) {
    return { refusal: "the token is none of a service account" };
  }
  const account = readUserName(status.user?.username);
  if (account === undefined) return { refusal: "the token names no service account and namespace" };
  const pod = readPod(status.user?.extra);
  return pod === undefined ? account : { ...account, pod };
}

/** The pod that a token is bound to, as the API server adds it to the user; undefined where it is bound to none. */
function readPod(extra: unknown): CallerPod | undefined {
  const values = (typeof extra === "object" && extra !== null ? extra : {}) as Readonly<Record<string, unknown>>;
  const [name] = listTexts(values["authentication.kubernetes.io/pod-name"]);
  const [uid] = listTexts(values["authentication.kubernetes.io/pod-uid"]);
  return name === undefined || uid === undefined ? undefined : { name, uid };
}

/** "system:serviceaccount:NAMESPACE:NAME" */
function readUserName(name: unknown): Account | undefined {
  const [system, kind, namespace = "", serviceAccount = "", ...more] = typeof name === "string" ? name.split(":") : [];
  if (system !== "system" || kind !== "serviceaccount" || more.length > 0) return undefined;
  return isNamespaceName(namespace) && isServiceAccountName(serviceAccount) ? { namespace, serviceAccount } : undefined;
}

function listTexts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === "string") : [];
}

/** When a token that was found good expires, in milliseconds since the epoch; undefined where it does not say. */
function readExpiry(token: SecretText): number | undefined {
  try {
    const [, payload = ""] = token.reveal().split(".");
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    const expiry = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
    return typeof expiry === "number" && Number.isFinite(expiry) ? expiry * 1000 : undefined;
  } catch {
    // No claims that can be read: the verdict holds for this call alone.
    return undefined;
  }
}
