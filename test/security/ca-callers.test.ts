/** Checks 12 to 18 of the certificate authority: who gets a certificate, by token, certificate or a gateway's word. */

import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { createCertificateAuthenticator } from "../../src/ca/certificate-authenticator.ts";
import {
  createForwardedCertificateAuthenticator,
  parseNetworks,
} from "../../src/ca/forwarded-certificate-authenticator.ts";
import { createTokenAuthenticator } from "../../src/ca/token-authenticator.ts";
import type { PeerCredentials } from "../../src/lib/caller.ts";
import { SecretText } from "../../src/lib/secret-text.ts";
import { chainOf, createCertificateRig, refusalIn, startMs } from "../support/certificate-rig.ts";
import { createReviewer, createToken, goodReview } from "../support/reviewer.ts";
import { createKeptLog } from "../support/secure-mesh.ts";
import { TestClock } from "../support/test-clock.ts";

const unauthenticated = "UNAUTHENTICATED request authenticate failure";
const trustDomains = () => ["cluster.local", "old.example"];
const token = createToken({ exp: startMs / 1000 + 600 });
const good = goodReview("shop/cart");

function withToken(text: string, clusterIds: readonly string[] = []): PeerCredentials {
  return { certificate: { kind: "none" }, bearerTokens: [new SecretText(text)], clusterIds };
}

/** The service, asking an API server that answers so. */
async function createTokenRig(answers: (token: string) => unknown) {
  const { client, asked } = createReviewer(({ body }) => answers((body as { spec: { token: string } }).spec.token));
  const clock = new TestClock();
  clock.advance(startMs);
  const { log, lines } = createKeptLog();
  const trustDomain = () => "cluster.local";
  const byToken = createTokenAuthenticator({
    ...{ client, audiences: ["istio-ca"], clusterId: "Kubernetes", trustDomain, clock, log },
  });
  const rig = await createCertificateRig({ authenticators: [byToken], log });
  const callWith = async (text: string, clusterIds?: readonly string[]): Promise<string> =>
    refusalIn(await rig.call({}, withToken(text, clusterIds)));
  return { rig, asked, clock, lines, callWith };
}

test("CA-12 a token is good where the API server says so for our audience, of an account in a namespace", async () => {
  const { rig, asked, callWith } = await createTokenRig(() => good);
  const [leaf = ""] = chainOf(await rig.call({}, withToken(token)));
  expect(new X509Certificate(leaf).subjectAltName).toBe("URI:spiffe://cluster.local/ns/shop/sa/cart");
  expect(asked[0]).toMatchObject({
    ...{ method: "POST", path: "/apis/authentication.k8s.io/v1/tokenreviews" },
    body: { kind: "TokenReview", spec: { audiences: ["istio-ca"], token } },
  });
  expect(await callWith(token)).toBe("issued");
});

const { status } = good;
test.each<[string, unknown]>([
  ["says nothing", {}],
  ["does not know the token", { status: { ...status, authenticated: false } }],
  ["says nothing of audiences", { status: { ...status, audiences: [] } }],
  ["knows no service account", { status: { ...status, user: { ...status.user, groups: ["system:masters"] } } }],
  ["names a user", { status: { ...status, user: { ...status.user, username: "admin" } } }],
  ["names no namespace", { status: { ...status, user: { ...status.user, username: "system:serviceaccount::cart" } } }],
  ["names no account", { status: { ...status, user: { ...status.user, username: "system:serviceaccount:shop:" } } }],
])("CA-12 a token is not good where the API server %s", async (_case, answer) => {
  const { callWith, rig } = await createTokenRig(() => answer);
  expect(await callWith(token)).toBe(unauthenticated);
  expect(rig.counts).toContain("citadel_server_authentication_failure_count");
});

test.each<[string, string, unknown, string]>([
  ["for another audience", token, { status: { ...status, audiences: ["vault"] } }, "another audience"],
  ["of somebody whom the API server finds gone", token, { status: { error: "pod not found" } }, "pod not found"],
  ["that has ended", createToken({ exp: startMs / 1000 - 1 }), good, "has expired"],
  ["that never ends", createToken({ iss: "kubernetes/serviceaccount" }), good, "never expires"],
])("CA-13 a token %s is refused; why is for our log alone", async (_case, text, answer, reason) => {
  const { callWith, lines } = await createTokenRig(() => answer);
  expect(await callWith(text)).toBe(unauthenticated);
  expect(lines.join("\n")).toContain(reason);
});

test("CA-14 no token shows in a log or an answer, whatever becomes of it", async () => {
  for (const answer of [good, {}, 500, 401, { status: { error: "bad" } }, null]) {
    const { rig, lines } = await createTokenRig(() => answer);
    const answers = [await rig.call({}, withToken(token)), await rig.call({ csr: "x" }, withToken(token))];
    const seen = [...lines, ...answers.flat().map((part) => JSON.stringify(part)), ...rig.counts].join("\n");
    for (const part of token.split(".").slice(1)) expect(seen).not.toContain(part);
  }
});

test("CA-15 an API server that cannot be asked proves nothing, and is asked again", async () => {
  let answer: unknown = 500;
  const { callWith, asked } = await createTokenRig(() => answer);
  expect(await callWith(token)).toBe(unauthenticated);
  answer = good;
  expect(await callWith(token)).toBe("issued");
  expect(asked).toHaveLength(2);
});

test("CA-15 what was said of a token is forgotten when the token ends, and says nothing of another", async () => {
  const short = createToken({ exp: startMs / 1000 + 5 });
  const { callWith, asked, clock } = await createTokenRig((text) => (text === short ? good : {}));
  expect([await callWith(short), await callWith(short)]).toEqual(["issued", "issued"]);
  expect(asked).toHaveLength(1);
  expect(await callWith(createToken({ exp: startMs / 1000 + 6 }))).toBe(unauthenticated);
  clock.advance(5_000);
  // The API server says yes still: its clock may be behind.
  expect(await callWith(short)).toBe(unauthenticated);
  expect(asked).toHaveLength(3);
});

const certificateRig = createCertificateRig({ authenticators: [createCertificateAuthenticator({ trustDomains })] });
const callWithCertificate = async (certificate: PeerCredentials["certificate"]): Promise<string> =>
  refusalIn(await (await certificateRig).call({}, { certificate, bearerTokens: [], clusterIds: [] }));
const uriName = "URI:spiffe://cluster.local/ns/shop/sa/cart";

test("a client certificate of a trust domain of ours is renewed", async () => {
  for (const subjectAltName of [uriName, `DNS:cart.shop, ${uriName}`, uriName.replace("cluster.local", "old.example")])
    expect(await callWithCertificate({ kind: "verified", subjectAltName })).toBe("issued");
});

test.each([
  ["no URI", "DNS:cart.shop.svc"],
  ["two URIs", `${uriName}, ${uriName.replace("cart", "admin")}`],
  ["a URI that could be two", 'URI:"spiffe://cluster.local/ns/shop/sa/cart\\u002c URI:x"'],
  ["a URI that is no identity", "URI:https://cluster.local/ns/shop/sa/cart"],
  ["another trust domain", uriName.replace("cluster.local", "evil.example")],
])("CA-16 a client certificate with %s is not renewed", async (_case, subjectAltName) => {
  expect(await callWithCertificate({ kind: "verified", subjectAltName })).toBe(unauthenticated);
});

test("CA-16 a client certificate that does not lead to our root is not renewed, a good token beside it or not", async () => {
  const { client } = createReviewer(() => good);
  const clock = new TestClock();
  const log = createKeptLog().log;
  const byToken = createTokenAuthenticator({
    ...{ client, audiences: ["istio-ca"], clusterId: "", trustDomain: () => "cluster.local", clock, log },
  });
  const authenticators = [createCertificateAuthenticator({ trustDomains }), byToken];
  const both = await createCertificateRig({ authenticators });
  const certificate = { kind: "unverified", reason: "CERT_HAS_EXPIRED" } as const;
  expect(await callWithCertificate(certificate)).toBe(unauthenticated);
  expect(refusalIn(await both.call({}, { ...withToken(token), certificate }))).toBe(unauthenticated);
});

const uri = "spiffe://cluster.local/ns/shop/sa/cart";
const { networks, problems } = parseNetworks("10.1.0.0/16, fd00::/8, 10.2.0.0, x/8, 1.2.3.4/33");
const callFrom = async (peer: string, ...forwardedCertificates: readonly string[]): Promise<string> => {
  const authenticators = [createForwardedCertificateAuthenticator({ networks, trustDomains })];
  const rig = await createCertificateRig({ authenticators });
  const nothing = { certificate: { kind: "none" }, bearerTokens: [], clusterIds: [] } as const;
  return refusalIn(await rig.call({}, { ...nothing, peer, forwardedCertificates }, { peer }));
};

test("the word of a gateway counts from its networks and from this machine", async () => {
  expect(problems).toEqual(["10.2.0.0", "x/8", "1.2.3.4/33"]);
  const header = `By=spiffe://x;Hash=00;Subject="CN=\\"a\\",O=b;URI=c";URI=${uri};DNS=a`;
  for (const peer of ["10.1.200.3:999", "::ffff:10.1.0.1:999", "[fd12::1]:999", "fd12::1:999", "127.0.0.1:9"])
    expect([peer, await callFrom(peer, header)]).toEqual([peer, "issued"]);
  expect(await callFrom("10.1.0.1:1", `uri="${uri}"`)).toBe("issued");
});

test.each(["10.2.0.1:1", "11.1.0.1:1", "[fe80::1]:1", "", "unix:/tmp/x", "10.1.0.1"])(
  "CA-17 the word of a gateway at %j is not believed",
  async (peer) => {
    expect(await callFrom(peer, `URI=${uri}`)).toBe(unauthenticated);
  },
);

test.each<[string, ...string[]]>([
  ["no certificate", ""],
  ["no URI", "Hash=00;DNS=a"],
  ["two URIs", `URI=${uri};URI=${uri}`],
  ["two certificates", `URI=${uri},URI=${uri}`],
  ["two certificates, one without a name", `Hash=00,URI=${uri}`],
  ["two headers", `URI=${uri}`, `URI=${uri}`],
  ["an open quotation", `Subject="CN=a;URI=${uri}`],
  ["another trust domain", `URI=${uri.replace("cluster.local", "evil.example")}`],
  ["no header"],
])("CA-17 the word of a gateway with %s is not believed", async (_case, ...headers) => {
  expect(await callFrom("10.1.0.1:1", ...headers)).toBe(unauthenticated);
});

test("CA-18 a token counts for the cluster that the caller names; several names are none", async () => {
  const { callWith, asked } = await createTokenRig(() => good);
  expect(await callWith(token, ["elsewhere"])).toBe(unauthenticated);
  expect(asked).toEqual([]);
  expect(await callWith(token, ["Kubernetes"])).toBe("issued");
  expect(await callWith(token, ["elsewhere", "Kubernetes"])).toBe("issued");
});

test.each(["", ".", "..", "a.b", "a.b.c.d", "a.b.", "null", "[]", "é.b.c", "a b.c.d", "[".repeat(10_000)])(
  "CVE-2022-23635 text that is no token (%.20j) proves nothing, and nobody is asked about it",
  async (text) => {
    const { callWith, asked } = await createTokenRig(() => good);
    expect(await callWith(text)).toBe(unauthenticated);
    expect(asked).toEqual([]);
  },
);

test("CVE-2022-23635 a token of a megabyte is none", async () => {
  const { callWith, asked } = await createTokenRig(() => good);
  expect(await callWith(`${"a".repeat(1_000_000)}.b.c`)).toBe(unauthenticated);
  expect(asked).toEqual([]);
});

test.each(["null", "[]", '{"exp":{}}', '{"exp":"x"}', `${"[".repeat(5000)}${"]".repeat(5000)}`, "no JSON"])(
  "CVE-2022-23635 claims of %.20j prove nothing, whatever the API server says of them",
  async (claims) => {
    const { callWith } = await createTokenRig(() => good);
    expect(await callWith(`e30.${Buffer.from(claims).toString("base64url")}.x`)).toBe(unauthenticated);
  },
);
