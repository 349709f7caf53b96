import { X509Certificate } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { TestClock } from "../../test/support/test-clock.ts";
import { KubeApiError, type KubeClient, type KubeRequest } from "../kube/kube-client.ts";
import type { PeerCertificate, PeerCredentials } from "../lib/caller.ts";
import { systemClock } from "../lib/clock.ts";
import { type Log, silentLog } from "../lib/log.ts";
import { SecretText } from "../lib/secret-text.ts";
import { createAccessReviews } from "./access-reviews.ts";
import { authenticateBy } from "./authenticate.ts";
import { createRootAuthority, issueWorkloadCertificate } from "./authority.ts";
import { createCertificateAuthenticator } from "./certificate-authenticator.ts";
import { createTokenAuthenticator } from "./token-authenticator.ts";

const trustDomains = () => ["cluster.local", "old.example"];
const byCertificate = createCertificateAuthenticator({ trustDomains });

function credentialsOf(
  certificate: PeerCertificate,
  tokens: readonly string[] = [],
  clusterIds: readonly string[] = [],
) {
  return {
    certificate,
    bearerTokens: tokens.map((token) => new SecretText(token)),
    clusterIds,
  } satisfies PeerCredentials;
}
const verified = (subjectAltName: string): PeerCertificate => ({ kind: "verified", subjectAltName });
const none: PeerCertificate = { kind: "none" };
const gatewayIdentity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "gateway" };

/** An API server as far as reviews go; `answers` holds what it says, a number for an error. */
function createReviewer(answers: (body: unknown) => unknown): { client: KubeClient; asked: KubeRequest[] } {
  const asked: KubeRequest[] = [];
  const client: KubeClient = {
    server: "",
    async request(request) {
      asked.push(request);
      const answer = answers(request.body);
      if (typeof answer === "number") throw new KubeApiError(answer, "refused");
      return answer;
    },
    stream: () => Promise.reject(new Error("no streams")),
    close: () => undefined,
  };
  return { client, asked };
}

describe("a client certificate", () => {
  it("proves the identity that our authority put into it", async () => {
    const lifetime = { lifetimeMs: 3_600_000, nowMs: systemClock.now() };
    const authority = await createRootAuthority({ organization: "cluster.local", ...lifetime });
    const { chain } = await issueWorkloadCertificate(authority, { identity: gatewayIdentity, ...lifetime });
    const { subjectAltName = "", ca } = new X509Certificate(chain);
    expect(ca).toBe(false);
    expect(await byCertificate.authenticate(credentialsOf(verified(subjectAltName)))).toEqual({
      kind: "authenticated",
      caller: { identity: gatewayIdentity, source: "certificate" },
    });
  });

  it.each([
    ["", /exactly one URI/],
    ["DNS:cluster.local", /exactly one URI/],
    ["URI:spiffe://cluster.local/ns/a/sa/b, URI:spiffe://cluster.local/ns/a/sa/c", /exactly one URI/],
    ['URI:"spiffe://cluster.local/ns/a/sa/b\\u002c URI:x"', /exactly one URI/],
    ["DNS:a, URI:https://cluster.local", /no identity/],
    ["URI:spiffe://cluster.local/workload", /no identity/],
    ["URI:spiffe://other.example/ns/a/sa/b", /trust domain other\.example/],
  ])("with %s proves nothing", async (subjectAltName, reason) => {
    const answer = await byCertificate.authenticate(credentialsOf(verified(subjectAltName)));
    expect(answer).toEqual({ kind: "refused", reason: expect.stringMatching(reason) });
  });

  it("of an alias of the trust domain counts, beside names of other kinds too", async () => {
    const answer = await byCertificate.authenticate(
      credentialsOf(verified("DNS:a.b, URI:spiffe://old.example/ns/a/sa/b")),
    );
    expect(answer.kind).toBe("authenticated");
  });
});

const createToken = (exp?: number): string =>
  ["{}", JSON.stringify({ exp }), "x"].map((part) => Buffer.from(part).toString("base64url")).join(".");
const goodReview = {
  status: {
    authenticated: true,
    audiences: ["istio-ca"],
    user: { username: "system:serviceaccount:shop:gateway", groups: ["system:serviceaccounts", "x"] },
  },
};

function startTokens(answers: (body: unknown) => unknown = () => goodReview, log: Log = silentLog) {
  const clock = new TestClock();
  const { client, asked } = createReviewer(answers);
  const authenticator = createTokenAuthenticator({
    client,
    audiences: ["istio-ca"],
    clusterId: "Kubernetes",
    trustDomain: () => "cluster.local",
    clock,
    log,
  });
  const authenticate = (text: string, clusters?: readonly string[]) =>
    authenticator.authenticate(credentialsOf(none, [text], clusters));
  return { clock, asked, authenticate };
}

describe("a token", () => {
  it("proves the account that the API server names", async () => {
    const { authenticate, asked } = startTokens();
    expect(await authenticate(createToken(9e9))).toEqual({
      kind: "authenticated",
      caller: { identity: gatewayIdentity, source: "token" },
    });
    expect(asked[0]).toMatchObject({
      path: "/apis/authentication.k8s.io/v1/tokenreviews",
      body: { spec: { audiences: ["istio-ca"], token: createToken(9e9) } },
    });
  });

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["no status", {}],
    ["a token that is not authenticated", { status: { ...goodReview.status, authenticated: false } }],
    ["a word instead of true", { status: { ...goodReview.status, authenticated: "true" } }],
    ["an error", { status: { ...goodReview.status, error: "expired" } }],
    ["no audience", { status: { ...goodReview.status, audiences: undefined } }],
    ["another audience", { status: { ...goodReview.status, audiences: ["api"] } }],
    ["a user", { status: { ...goodReview.status, user: { username: "system:serviceaccount:a:b", groups: [] } } }],
    ...["jane", "system:serviceaccount:a", "system:serviceaccount::b", "system:serviceaccount:a:b:c"].map(
      (username): [string, unknown] => [
        `the name ${username}`,
        { status: { ...goodReview.status, user: { username, groups: ["system:serviceaccounts"] } } },
      ],
    ),
    ["an error of its own", 500],
  ])("proves nothing where the API server answers with %s", async (_case, answer) => {
    expect((await startTokens(() => answer).authenticate(createToken())).kind).toBe("refused");
  });

  it.each([
    "",
    "null",
    "..",
    "a.b",
    "a.b.c.d",
    "a.b.",
    "[]",
    "é.b.c",
    "a b.c.d",
    `${"a".repeat(1_000_000)}.b.c`,
    "[".repeat(10_000),
  ])("that is none (%.40j) is refused before anybody is asked", async (text) => {
    const { authenticate, asked } = startTokens();
    expect((await authenticate(text)).kind).toBe("refused");
    expect(asked).toEqual([]);
  });

  it.each(["null", "[]", '{"exp":{}}', '{"exp":"x"}', `${"[".repeat(5000)}${"]".repeat(5000)}`, "no JSON", ""])(
    "whose claims are %.30j proves nothing, whatever the API server says of it",
    async (claims) => {
      const { authenticate, asked } = startTokens();
      const text = `e30.${Buffer.from(claims || "{").toString("base64url")}.x`;
      expect(await authenticate(text)).toEqual({ kind: "refused", reason: expect.stringContaining("never expires") });
      expect(asked).toHaveLength(1);
    },
  );
});

describe("what was said of a token", () => {
  it("holds for a minute, and never longer than the token", async () => {
    const { authenticate, asked, clock } = startTokens();
    await Promise.all([authenticate(createToken(9e9)), authenticate(createToken(9e9))]);
    clock.advance(59_000);
    await authenticate(createToken(9e9));
    expect(asked).toHaveLength(1);
    clock.advance(1_000);
    await authenticate(createToken(9e9));
    expect(asked).toHaveLength(2);
    const short = createToken(clock.now() / 1000 + 5);
    await authenticate(short);
    clock.advance(5_000);
    await authenticate(short);
    expect(asked).toHaveLength(4);
  });

  it("is of this cluster; a client that names several names none", async () => {
    const { authenticate, asked } = startTokens();
    expect(await authenticate(createToken(), ["other"])).toEqual({
      kind: "refused",
      reason: 'the client says it is of cluster "other"; this one is Kubernetes',
    });
    expect(asked).toEqual([]);
    expect((await authenticate(createToken(9e9), ["Kubernetes"])).kind).toBe("authenticated");
    expect((await authenticate(createToken(9e9), ["other", "more"])).kind).toBe("authenticated");
  });

  it("never shows in a reason or a log", async () => {
    const lines: unknown[] = [];
    const log: Log = { ...silentLog, warn: (...line) => lines.push(line), child: () => log };
    const failing = await startTokens(() => 403, log).authenticate(createToken(1));
    expect(JSON.stringify([lines, failing])).not.toContain(createToken(1));
    expect(lines).toHaveLength(1);
  });
});

describe("of several authenticators", () => {
  const always = (kind: "authenticated" | "refused" | "absent", name: string) => ({
    name,
    authenticate: vi.fn(async () =>
      kind === "authenticated"
        ? { kind, caller: { identity: { ...gatewayIdentity, serviceAccount: name }, source: "token" as const } }
        : { kind, ...(kind === "refused" ? { reason: "no" } : { reason: "" }) },
    ),
  });

  it("the first that authenticates decides", async () => {
    const [absent, first, second] = [always("absent", "x"), always("authenticated", "a"), always("authenticated", "b")];
    const answer = await authenticateBy([absent, always("refused", "y"), first, second], credentialsOf(none));
    expect(answer).toMatchObject({ caller: { identity: { serviceAccount: "a" } } });
    expect(second.authenticate).not.toHaveBeenCalled();
  });

  it("all reasons are told, and none where nothing was given", async () => {
    expect(await authenticateBy([always("refused", "a"), always("refused", "b")], credentialsOf(none))).toEqual({
      kind: "refused",
      reason: "a: no; b: no",
    });
    expect(await authenticateBy([always("absent", "a")], credentialsOf(none))).toEqual({
      kind: "refused",
      reason: "no credentials were given",
    });
  });

  it("none is asked after a certificate that is not trusted", async () => {
    const token = always("authenticated", "a");
    const unverified = credentialsOf({ kind: "unverified", reason: "CERT_HAS_EXPIRED" });
    expect((await authenticateBy([byCertificate, token], unverified)).kind).toBe("refused");
    expect(token.authenticate).not.toHaveBeenCalled();
  });
});

describe("whether an account may read secrets", () => {
  const account = { namespace: "shop", serviceAccount: "gateway" };

  it("is asked once for all, again after five minutes or one, and told where it changes", async () => {
    let allowed = true;
    const { client, asked } = createReviewer(() => ({ status: { allowed } }));
    const clock = new TestClock();
    const reviews = createAccessReviews({ client, clock, log: silentLog });
    const onChange = vi.fn();
    const [first, second] = [reviews.watch(account, onChange), reviews.watch(account, onChange)];
    expect(first.mayRead()).toBeUndefined();
    await vi.waitFor(() => expect(second.mayRead()).toBe(true));
    expect(onChange).toHaveBeenCalledTimes(2);
    expect(asked[0]?.body).toMatchObject({
      spec: {
        user: "system:serviceaccount:shop:gateway",
        resourceAttributes: { namespace: "shop", verb: "list", resource: "secrets" },
      },
    });
    allowed = false;
    clock.advance(299_000);
    expect(asked).toHaveLength(1);
    clock.advance(1_000);
    await vi.waitFor(() => expect(first.mayRead()).toBe(false));
    allowed = true;
    clock.advance(60_000);
    await vi.waitFor(() => expect(first.mayRead()).toBe(true));
    expect(onChange).toHaveBeenCalledTimes(6);
    first.close();
    second.close();
    clock.advance(300_000);
    clock.advance(300_000);
    expect(asked).toHaveLength(3);
    reviews.stop();
  });

  it("is no where the API server fails, and what was a yes stays one", async () => {
    let answer: unknown = 500;
    const { client, asked } = createReviewer(() => answer);
    const clock = new TestClock();
    const reviews = createAccessReviews({ client, clock, log: silentLog });
    const watch = reviews.watch(account, () => undefined);
    await vi.waitFor(() => expect(watch.mayRead()).toBe(false));
    answer = { status: { allowed: true } };
    clock.advance(5_000);
    await vi.waitFor(() => expect(watch.mayRead()).toBe(true));
    answer = 500;
    clock.advance(300_000);
    await vi.waitFor(() => expect(asked).toHaveLength(3));
    expect(watch.mayRead()).toBe(true);
    reviews.stop();
  });
});
