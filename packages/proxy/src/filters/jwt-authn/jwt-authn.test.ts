import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { createTestCluster } from "../test-cluster.ts";
import { createTestChain, type TestRequest } from "../test-exchange.ts";
import { jwtAuthnFactory } from "./jwt-authn.ts";

type Key = Awaited<ReturnType<typeof generateKeyPair>>["privateKey"];

const now = 1_800_000_000;
const clock = {
  now: () => now * 1000,
  monotonic: () => 0,
  after: (_delayMs: number, run: () => void) => {
    queueMicrotask(run);
    return { close: () => undefined };
  },
  every: () => ({ close: () => undefined }),
};

let rsa: Key;
let ec: Key;
let stranger: Key;
let secret: Uint8Array;
let jwks: string;

beforeAll(async () => {
  const [one, two, three] = await Promise.all([
    generateKeyPair("RS256", { extractable: true }),
    generateKeyPair("ES256", { extractable: true }),
    generateKeyPair("RS256", { extractable: true }),
  ]);
  rsa = one.privateKey;
  ec = two.privateKey;
  stranger = three.privateKey;
  secret = Buffer.from("0123456789abcdef0123456789abcdef");
  const keys = [
    { ...(await exportJWK(one.publicKey)), kid: "k1", alg: "RS256" },
    { ...(await exportJWK(two.publicKey)), kid: "k2" },
    { kty: "oct", k: Buffer.from(secret).toString("base64url"), kid: "k3", alg: "HS256" },
    { kty: "RSA", kid: "broken" },
  ];
  jwks = JSON.stringify({ keys });
});

function sign(claims: JWTPayload, key: Key | Uint8Array = rsa, header = { alg: "RS256", kid: "k1" }): Promise<string> {
  return new SignJWT(claims).setProtectedHeader(header).sign(key);
}

const local = (): object => ({ local_jwks: { inline_string: jwks } });

function createChain(requires: object, more: object = {}, perRoute: readonly object[] = []) {
  const providers = {
    p1: { issuer: "i1", ...local() },
    p2: { issuer: "i2", audiences: ["https://aud/"], forward: true, ...local() },
    p3: {
      require_expiration: true,
      subjects: { prefix: "ok" },
      max_lifetime: { seconds: 100 },
      from_headers: [{ name: "x-jwt" }],
      ...local(),
    },
    ...more,
  };
  const filter = {
    providers,
    rules: [{ match: { prefix: "/" }, requires }],
    requirement_map: { named: { provider_name: "p1" } },
  };
  return createTestChain(jwtAuthnFactory, { filter, clock, perRoute });
}

const bearer = (token: string): TestRequest => ({ headers: { authorization: `Bearer ${token}` } });

describe("the answers of jwtAuthnFactory", () => {
  // As a real Envoy 1.40 answers.
  it.each<[string, () => Promise<TestRequest>, number, string]>([
    ["no token", async () => ({}), 401, "Jwt is missing"],
    ["another scheme", async () => ({ headers: { authorization: "Basic x" } }), 401, "Jwt is missing"],
    [
      "two sections",
      async () => bearer("a.b"),
      401,
      "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    ],
    ["a header that is no Base64url", async () => bearer("a.b.c"), 401, "Jwt header is an invalid Base64url encoded"],
    ["a header that is no JSON", async () => bearer("YWFh.YWFh.YWFh"), 401, "Jwt header is an invalid JSON"],
    ["another issuer", async () => bearer(await sign({ iss: "zz" })), 401, "Jwt issuer is not configured"],
    ["an expired token", async () => bearer(await sign({ iss: "i1", exp: now - 61 })), 401, "Jwt is expired"],
    ["a token of later", async () => bearer(await sign({ iss: "i1", nbf: now + 100 })), 401, "Jwt not yet valid"],
    ["a forged signature", async () => bearer(await sign({ iss: "i1" }, stranger)), 401, "Jwt verification fails"],
    [
      "an unknown key",
      async () => bearer(await sign({ iss: "i1" }, rsa, { alg: "RS256", kid: "zz" })),
      401,
      "Jwks doesn't have key to match kid or alg from Jwt",
    ],
    [
      "an algorithm that the key has not",
      async () => bearer(await sign({ iss: "i1" }, ec, { alg: "ES256", kid: "k1" })),
      401,
      "Jwks doesn't have key to match kid or alg from Jwt",
    ],
    [
      "a time that is a text",
      async () => bearer(await sign({ iss: "i1", exp: "x" as unknown as number })),
      401,
      "Jwt payload [exp] field is not an integer",
    ],
  ])("refuses %s", async (_what, build, status, text) => {
    const outcome = await createChain({ provider_name: "p1" }).ask({ path: "/p?a=1", ...(await build()) });
    const problem = text === "Jwt is missing" ? "" : ', error="invalid_token"';
    expect(outcome.reply).toMatchObject({
      status,
      body: text,
      details: `jwt_authn_access_denied{${text.replaceAll(" ", "_")}}`,
    });
    expect(outcome.headers["www-authenticate"]).toBe(`Bearer realm="http://example.com/p?a=1"${problem}`);
  });

  it.each<[string, string, () => Promise<string>, number | string]>([
    ["an allowed audience", "p2", () => sign({ iss: "i2", aud: ["x", "http://aud"] }), 200],
    ["another audience", "p2", () => sign({ iss: "i2", aud: "x" }), "Audiences in Jwt are not allowed"],
    ["a token just expired", "p1", () => sign({ iss: "i1", exp: now - 50 }), 200],
    ["an elliptic key", "p1", () => sign({ iss: "i1" }, ec, { alg: "ES256", kid: "k2" }), 200],
    ["a shared secret", "p1", () => sign({ iss: "i1" }, secret, { alg: "HS256", kid: "k3" }), 200],
    [
      "a secret where a public key is named",
      "p1",
      () => sign({ iss: "i1" }, secret, { alg: "HS256", kid: "k2" }),
      "Jwt verification fails",
    ],
  ])("judges %s", async (_what, provider, build, expected) => {
    const outcome = await createChain({ provider_name: provider }).ask(bearer(await build()));
    expect(expected === 200 ? outcome.status : outcome.body).toBe(expected);
  });

  it.each([
    [{ sub: "ok1", exp: now + 50 }, 200],
    [{ sub: "ok1" }, 401],
    [{ sub: "no", exp: now + 50 }, 401],
    [{ sub: "ok1", exp: now + 500 }, 401],
  ])("judges subject and lifetime of %j", async (claims, status) => {
    const outcome = await createChain({ provider_name: "p3" }).ask({ headers: { "x-jwt": await sign(claims) } });
    expect(outcome.status).toBe(status);
  });
});

describe("what a good token brings", () => {
  it("takes the token out, and puts payload and claims into headers that nobody else may set", async () => {
    const claims = { iss: "i1", sub: "s", a: { b: "deep" }, l: ["x", 1], n: 12, f: 1.5, yes: true, scope: "r w" };
    const provider = {
      issuer: "i1",
      ...local(),
      forward_payload_header: "x-pay",
      payload_in_metadata: "pay",
      header_in_metadata: "head",
      normalize_payload_in_metadata: { space_delimited_claims: ["scope"] },
      clear_route_cache: true,
      claim_to_headers: ["sub", "a.b", "l", "n", "f", "yes", "none"].map((claim) => ({
        header_name: `x-${claim}`,
        claim_name: claim,
      })),
    };
    const token = await sign(claims);
    const chain = createChain({ provider_name: "p" }, { p: provider });
    const outcome = await chain.ask({
      headers: { authorization: `Bearer ${token}`, "x-none": "evil", "x-pay": "evil" },
    });
    expect(outcome.forwarded?.headers).toEqual({
      "x-pay": token.split(".")[1],
      "x-sub": "s",
      "x-a.b": "deep",
      "x-l": "WyJ4IiwxXQ==",
      "x-n": "12",
      "x-f": "1.500000",
      "x-yes": "true",
    });
    const metadata = outcome.info.dynamicMetadata.get("envoy.filters.http.jwt_authn");
    expect(metadata).toEqual({ pay: { ...claims, scope: ["r", "w"] }, head: { alg: "RS256", kid: "k1" } });
    expect(outcome.routeClears).toBe(1);
    expect([chain.stat("http.test.jwt_authn.allowed"), chain.stat("http.test.jwt_authn.denied")]).toEqual([1, 0]);
  });

  it("finds tokens in parameters and cookies, and takes them out of parameters", async () => {
    const token = await sign({ iss: "i1" });
    const chain = createChain(
      { provider_name: "p" },
      { p: { ...local(), from_params: ["tok"], from_cookies: ["jar"] } },
    );
    const byParameter = await chain.ask({ path: `/x?a=%20b&tok=${token}&c=1` });
    expect(byParameter.forwarded?.path).toBe("/x?a=%20b&c=1");
    const byCookie = await chain.ask({ headers: { cookie: `a=b; jar=${token}` } });
    expect(byCookie.forwarded?.headers["cookie"]).toContain(token);
    const both = await chain.ask({ path: "/?tok=bad", headers: { cookie: `jar=${token}` } });
    expect(both.status).toBe(401);
  });
});

describe("requirements", () => {
  const any = { requires_any: { requirements: [{ provider_name: "p1" }, { provider_name: "p2" }] } };
  const orMissing = { requires_any: { requirements: [{ provider_name: "p1" }, { allow_missing: {} }] } };
  const orFailed = { requires_any: { requirements: [{ provider_name: "p1" }, { allow_missing_or_failed: {} }] } };
  const all = { requires_all: { requirements: [{ provider_name: "p1" }, { provider_name: "p3" }] } };
  const narrow = { provider_and_audiences: { provider_name: "p1", audiences: ["mine"] } };

  it.each<[string, object, () => Promise<TestRequest>, number | string]>([
    ["any, none there", any, async () => ({}), "Jwt is missing"],
    ["any, no issuer known", any, async () => bearer(await sign({ iss: "zz" })), "Jwt issuer is not configured"],
    ["any, forged", any, async () => bearer(await sign({ iss: "i1" }, stranger)), "Jwt verification fails"],
    ["any, wrong audience", any, async () => bearer(await sign({ iss: "i2" })), "Audiences in Jwt are not allowed"],
    ["any, the second", any, async () => bearer(await sign({ iss: "i2", aud: "aud" })), 200],
    ["or missing, none there", orMissing, async () => ({}), 200],
    [
      "or missing, bad",
      orMissing,
      async () => bearer("bad"),
      "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    ],
    ["or missing, unknown", orMissing, async () => bearer(await sign({ iss: "zz" })), "Jwt issuer is not configured"],
    ["or failed, bad", orFailed, async () => bearer("bad"), 200],
    [
      "missing alone, bad",
      { allow_missing: {} },
      async () => bearer("bad"),
      "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    ],
    ["missing alone, none there", { allow_missing: {} }, async () => ({}), 200],
    ["failed alone, bad", { allow_missing_or_failed: {} }, async () => bearer("bad"), 200],
    ["all, one there", all, async () => bearer(await sign({ iss: "i1" })), "Jwt is missing"],
    [
      "own audiences, another",
      narrow,
      async () => bearer(await sign({ iss: "i1", aud: "x" })),
      "Audiences in Jwt are not allowed",
    ],
    ["own audiences, mine", narrow, async () => bearer(await sign({ iss: "i1", aud: "mine" })), 200],
    ["none", {}, async () => ({}), 200],
  ])("%s", async (_what, requires, build, expected) => {
    const outcome = await createChain(requires).ask(await build());
    expect(expected === 200 ? outcome.status : outcome.body).toBe(expected);
  });

  it("takes a token out even where failure is allowed", async () => {
    const outcome = await createChain({ allow_missing_or_failed: {} }).ask(bearer(await sign({ iss: "i1" })));
    expect(outcome.forwarded?.headers).toEqual({});
  });

  it("lets routes choose a requirement by name, or none", async () => {
    const requires = { provider_name: "p2" };
    expect((await createChain(requires, {}, [{ disabled: true }]).ask()).status).toBe(200);
    const named = createChain(requires, {}, [{ requirement_name: "named" }]);
    expect((await named.ask(bearer(await sign({ iss: "i1" })))).status).toBe(200);
    const unknown = await createChain(requires, {}, [{ requirement_name: "nobody" }]).ask();
    expect(unknown).toMatchObject({
      status: 403,
      body: "Failed JWT authentication: Wrong requirement_name: nobody. It should be one of [named]",
    });
  });

  it("lets preflights through where it is told to, and says less where it is told to", async () => {
    const providers = { p1: { issuer: "i1", ...local() } };
    const rules = [{ match: { prefix: "/" }, requires: { provider_name: "p1" } }];
    const filter = { providers, rules, bypass_cors_preflight: true, strip_failure_response: true };
    const chain = createTestChain(jwtAuthnFactory, { filter, clock });
    const headers = { origin: "https://a", "access-control-request-method": "GET" };
    expect((await chain.ask({ method: "OPTIONS", headers })).status).toBe(200);
    expect(chain.stat("http.test.jwt_authn.cors_preflight_bypassed")).toBe(1);
    expect((await chain.ask()).reply).toMatchObject({ status: 401, body: "" });
  });

  it.each<[object, string]>([
    [{ providers: { p: {} } }, "providers.p: local_jwks or remote_jwks is required"],
    [
      { providers: { p: { local_jwks: { inline_string: "{bad" } } } },
      "Provider 'p' in jwt_authn config has invalid local jwks: Jwks is an invalid JSON",
    ],
    [
      { rules: [{ match: { prefix: "/" }, requires: { provider_name: "q" } }] },
      "rules[0].requires: Required provider ['q'] is not configured.",
    ],
    [{ rules: [{ match: {} }] }, "rules[0].match"],
    [{ rules: [{ match: { prefix: "/" }, requirement_name: "q" }] }, "Wrong requirement_name: q"],
  ])("refuses %j", (filter, text) => {
    expect(() => createTestChain(jwtAuthnFactory, { filter })).toThrow(text);
  });
});

describe("several tokens and providers", () => {
  it.each<[string, () => Promise<readonly string[]>, string]>([
    [
      "a stranger's and a good one",
      async () => [`Bearer ${await sign({ iss: "zz" })}`, `Bearer ${await sign({ iss: "i1" })}`],
      "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    ],
    [
      "a good one twice",
      async () => [`Bearer ${await sign({ iss: "i1" })}`, `Bearer ${await sign({ iss: "i1" })}`],
      "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    ],
    [
      "a good one and another scheme",
      async () => [`Bearer ${await sign({ iss: "i1" })}`, "Basic x"],
      "Jwt signature is an invalid Base64url encoded",
    ],
  ])("refuses two lines of authorization: %s", async (_what, build, text) => {
    const p1 = { issuer: "i1", payload_in_metadata: "payload", ...local() };
    const outcome = await createChain({ provider_name: "p1" }, { p1 }).ask({
      headers: { authorization: await build() },
    });
    expect([outcome.reply?.status, outcome.body]).toEqual([401, text]);
    expect(outcome.info.dynamicMetadata.get("envoy.filters.http.jwt_authn")).toBeUndefined();
  });

  it("reads two lines of another header one by one", async () => {
    const token = await sign({ iss: "i1" });
    const p1 = { issuer: "i1", from_headers: [{ name: "x-jwt" }], ...local() };
    const chain = createChain({ provider_name: "p1" }, { p1 });
    expect((await chain.ask({ headers: { "x-jwt": [token, token] } })).status).toBe(200);
  });

  // As a real Envoy 1.40 answers: the tolerant one does not take what the one beside it has refused.
  it.each<[string, object, number, string | undefined]>([
    ["missing", { allow_missing: {} }, 403, undefined],
    ["failed", { allow_missing_or_failed: {} }, 200, "kept"],
  ])("keeps to narrowed audiences where %s is allowed", async (_what, tolerant, status, authorization) => {
    const p1 = { issuer: "i1", forward_payload_header: "x-pay", ...local() };
    const narrowed = { provider_and_audiences: { provider_name: "p1", audiences: ["mine"] } };
    const chain = createChain({ requires_any: { requirements: [narrowed, tolerant] } }, { p1 });
    const request = bearer(await sign({ iss: "i1", aud: "x" }));
    const outcome = await chain.ask(request);
    expect(outcome.status).toBe(status);
    expect(outcome.forwarded?.headers["x-pay"]).toBeUndefined();
    expect(outcome.forwarded?.headers["authorization"]).toBe(authorization && request.headers?.["authorization"]);
    expect((await chain.ask()).status).toBe(200);
  });

  it("says of any that the issuer is unknown before that a token is missing", async () => {
    const p2 = { issuer: "i2", from_headers: [{ name: "x-jwt" }], ...local() };
    const names = ["p1", "p2"].map((provider_name) => ({ provider_name }));
    for (const requirements of [names, names.toReversed()]) {
      const chain = createChain({ requires_any: { requirements } }, { p2 });
      const outcome = await chain.ask(bearer(await sign({ iss: "zz" })));
      expect(outcome.body).toBe("Jwt issuer is not configured");
      expect(outcome.headers["www-authenticate"]).toContain('error="invalid_token"');
      expect((await chain.ask()).body).toBe("Jwt is missing");
    }
  });

  it("notes the status of a token that fails, and of none that is missing", async () => {
    const p1 = { issuer: "i1", failed_status_in_metadata: "failed", ...local() };
    const chain = createChain({ provider_name: "p1" }, { p1 });
    const missing = await chain.ask();
    expect(missing.info.dynamicMetadata.get("envoy.filters.http.jwt_authn")).toBeUndefined();
    const unknown = await chain.ask(bearer(await sign({ iss: "zz" })));
    expect(unknown.info.dynamicMetadata.get("envoy.filters.http.jwt_authn")).toMatchObject({
      failed: { message: "Jwt issuer is not configured" },
    });
  });
});

describe("keys from a server", () => {
  const remote = { http_uri: { uri: "https://keys.example/jwks", cluster: "keys", timeout: { seconds: 5 } } };

  it("fetches them once, and keeps them for their time", async () => {
    const asked: string[] = [];
    const cluster = createTestCluster("keys", (request) => {
      asked.push(`${request.method} ${request.authority}${request.path}`);
      return { status: 200, body: jwks };
    });
    const filter = {
      providers: { p: { issuer: "i1", remote_jwks: remote } },
      rules: [{ match: { prefix: "/" }, requires: { provider_name: "p" } }],
    };
    const chain = createTestChain(jwtAuthnFactory, {
      filter,
      clock: { ...clock, after: () => ({ close: () => undefined }) },
      clusters: cluster,
    });
    const request = bearer(await sign({ iss: "i1" }));
    const outcomes = await Promise.all([chain.ask(request), chain.ask(request)]);
    expect([...outcomes, await chain.ask(request)].map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(asked).toEqual(["GET keys.example/jwks"]);
    expect(chain.stat("http.test.jwt_authn.jwks_fetch_success")).toBe(1);
  });

  it.each([
    [503, ""],
    [200, "{}"],
  ])("refuses tokens where the server answers %s %j, after the retries", async (status, body) => {
    let asked = 0;
    const clusters = createTestCluster("keys", () => {
      asked += 1;
      return { status, body };
    });
    const remote_jwks = { ...remote, retry_policy: { num_retries: { value: 2 } } };
    const filter = {
      providers: { p: { remote_jwks } },
      rules: [{ match: { prefix: "/" }, requires: { provider_name: "p" } }],
    };
    // The time of a fetch does not run out: only waits between tries end.
    const patient = {
      ...clock,
      after: (ms: number, run: () => void) => (ms === 5000 ? { close: () => undefined } : clock.after(ms, run)),
    };
    const chain = createTestChain(jwtAuthnFactory, { filter, clock: patient, clusters });
    const outcome = await chain.ask(bearer(await sign({ iss: "i1" })));
    expect([outcome.body, asked]).toEqual(["Jwks remote fetch is failed", 3]);
    expect(chain.stat("http.test.jwt_authn.jwks_fetch_failed")).toBe(1);
  });
});
