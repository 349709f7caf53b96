import { packAny } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { statefulSessionFactory } from "./stateful-session.ts";
import { testHost } from "./test-cluster.ts";
import { createTestChain, type TestAnswer } from "./test-exchange.ts";

const cookie = (path: string, seconds: number) => ({
  name: "envoy.http.stateful_session.cookie",
  typed_config: packAny("envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState", {
    cookie: { name: "sess", path, ttl: { seconds } },
  }),
});
const header = {
  name: "envoy.http.stateful_session.header",
  typed_config: packAny("envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState", { name: "X-Sess" }),
};
const address = "127.0.0.1:38507";
const answer: TestAnswer = {
  does: ({ info }) => {
    info.upstreamHost = { ...testHost, address };
  },
};
const clock = {
  now: () => 1_795_281_903_000,
  monotonic: () => 0,
  after: () => ({ close: () => undefined }),
  every: () => ({ close: () => undefined }),
};
/** What a real Envoy 1.40 gave for this address at this time. */
const value = "Cg8xMjcuMC4wLjE6Mzg1MDcQj7OH2AY=";

describe("statefulSessionFactory with cookies", () => {
  const filter = { session_state: cookie("/a", 120) };

  it("names the host in a cookie below its path", async () => {
    const time = { ...clock, now: () => (1_795_283_343 - 120) * 1000 };
    const chain = createTestChain(statefulSessionFactory, { filter, clock: time });
    const outcome = await chain.ask({ path: "/a/b" }, answer);
    expect(outcome.headers["set-cookie"]).toBe(`sess="${value}"; Max-Age=120; Path=/a; HttpOnly`);
    expect((await chain.ask({ path: "/zz" }, answer)).headers).toEqual({});
    expect((await chain.ask({ path: "/ab" }, answer)).headers).toEqual({});
  });

  it("asks for the host that the cookie names, until it ends", async () => {
    const chain = createTestChain(statefulSessionFactory, { filter, clock });
    const request = { path: "/a", headers: { cookie: `x=y; sess="${value}"` } };
    const outcome = await chain.ask(request, answer);
    expect(outcome.info.filterState.get("envoy.override_host")?.value).toEqual({ address, isStrict: false });
    expect(outcome.headers).toEqual({});
    const late = createTestChain(statefulSessionFactory, { filter, clock: { ...clock, now: () => 1_900_000_000_000 } });
    expect((await late.ask(request, answer)).info.filterState.size).toBe(0);
  });
});

describe("statefulSessionFactory with headers", () => {
  it("names the host in a header where it is another", async () => {
    const chain = createTestChain(statefulSessionFactory, { filter: { session_state: header, strict: true } });
    const text = Buffer.from(address).toString("base64");
    expect((await chain.ask({}, answer)).headers).toEqual({ "x-sess": text });
    const again = await chain.ask({ headers: { "x-sess": text } }, answer);
    expect(again.headers).toEqual({});
    expect(again.info.filterState.get("envoy.override_host")?.value).toEqual({ address, isStrict: true });
    expect((await chain.ask({ headers: { "x-sess": "!!" } }, answer)).headers).toEqual({ "x-sess": text });
  });

  it("is switched off and changed by routes, and refuses other states", async () => {
    const filter = { session_state: header };
    const off = createTestChain(statefulSessionFactory, { filter, perRoute: [{ disabled: true }] });
    expect((await off.ask({}, answer)).headers).toEqual({});
    const perRoute = [{ stateful_session: { session_state: cookie("", 0) } }];
    const other = await createTestChain(statefulSessionFactory, { filter, perRoute, clock }).ask({}, answer);
    expect(other.headers["set-cookie"]).toMatch(/^sess="[^"]+"; HttpOnly$/);
    const unknown = {
      session_state: { name: "x", typed_config: packAny("envoy.extensions.filters.http.buffer.v3.Buffer", {}) },
    };
    expect(() => createTestChain(statefulSessionFactory, { filter: unknown })).toThrow("session_state.typed_config");
  });
});
