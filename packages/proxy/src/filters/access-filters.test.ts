import { describe, expect, it } from "vitest";
import { basicAuthFactory } from "./basic-auth.ts";
import { cdnLoopFactory } from "./cdn-loop.ts";
import { csrfFactory } from "./csrf.ts";
import { createTestChain } from "./test-exchange.ts";

const all = { default_value: { numerator: 100 } };

describe("csrfFactory", () => {
  const filter = { filter_enabled: all, additional_origins: [{ exact: "ok.example" }] };
  it.each<[string, Readonly<Record<string, string>>, number]>([
    ["POST", {}, 403],
    ["POST", { origin: "http://evil.example" }, 403],
    ["POST", { origin: "null" }, 403],
    ["DELETE", { origin: "http://ok.example" }, 200],
    ["PUT", { referer: "http://ok.example/abc" }, 200],
    ["PATCH", { origin: "https://example.com" }, 200],
    ["GET", {}, 200],
  ])("%s with %j: %s", async (method, headers, status) => {
    const outcome = await createTestChain(csrfFactory, { filter }).ask({ method, headers });
    expect(outcome.status).toBe(status);
    if (status === 403)
      expect(outcome.reply).toMatchObject({ body: "Invalid origin", details: "csrf_origin_mismatch" });
  });

  it("only counts in the shadow, and takes the route's settings", async () => {
    const none = { default_value: { numerator: 0 } };
    const chain = createTestChain(csrfFactory, { filter, perRoute: [{ filter_enabled: none, shadow_enabled: all }] });
    expect((await chain.ask({ method: "POST" })).status).toBe(200);
    expect(chain.stat("http.test.csrf.missing_source_origin")).toBe(1);
    expect(() => createTestChain(csrfFactory, { filter: {} })).toThrow("filter_enabled");
  });
});

describe("basicAuthFactory", () => {
  const users = { inline_string: "user1:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=\n" };
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });
  it.each<[Readonly<Record<string, string>>, string | undefined]>([
    [basic("user1:test1"), undefined],
    [basic("user1:x"), "User authentication failed. Invalid username/password combination."],
    [basic("nobody:test1"), "User authentication failed. Invalid username/password combination."],
    [{}, "User authentication failed. Missing username and password."],
    [{ authorization: "Bearer x" }, "User authentication failed. Expected 'Basic' authentication scheme."],
  ])("%j", async (headers, body) => {
    const chain = createTestChain(basicAuthFactory, { filter: { users, forward_username_header: "x-user" } });
    const outcome = await chain.ask({ headers });
    if (body === undefined) expect(outcome.forwarded?.headers["x-user"]).toBe("user1");
    else {
      expect(outcome.reply).toMatchObject({ status: 401, body });
      expect(outcome.headers["www-authenticate"]).toBe('Basic realm="http://example.com/"');
    }
    expect(chain.stat("http.test.basic_auth.denied")).toBe(body === undefined ? 0 : 1);
  });

  it.each(["user:plain", "a:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=\na:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw="])(
    "refuses %j",
    (text) => {
      expect(() => createTestChain(basicAuthFactory, { filter: { users: { inline_string: text } } })).toThrow("users");
    },
  );
});

describe("cdnLoopFactory", () => {
  it.each([
    [undefined, 200, "me"],
    ["foo, bar; a=b", 200, "foo, bar; a=b,me"],
    ["me", 502, "The server has detected a loop between CDNs."],
    ['a; b="x, me", c', 200, 'a; b="x, me", c,me'],
    ["((", 400, "Invalid CDN-Loop header in request."],
  ])("%j: %s", async (given, status, expected) => {
    const headers = given === undefined ? {} : { "cdn-loop": given };
    const outcome = await createTestChain(cdnLoopFactory, { filter: { cdn_id: "me" } }).ask({ headers });
    expect([outcome.status, status === 200 ? outcome.forwarded?.headers["cdn-loop"] : outcome.body]).toEqual([
      status,
      expected,
    ]);
  });

  it("lets some rounds pass, and refuses names that are none", async () => {
    const chain = createTestChain(cdnLoopFactory, { filter: { cdn_id: "me", max_allowed_occurrences: 1 } });
    expect((await chain.ask({ headers: { "cdn-loop": "me" } })).status).toBe(200);
    expect((await chain.ask({ headers: { "cdn-loop": "me, me" } })).status).toBe(502);
    expect(() => createTestChain(cdnLoopFactory, { filter: { cdn_id: "((" } })).toThrow("cdn_id");
  });
});
