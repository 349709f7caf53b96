import { describe, expect, it } from "vitest";
import { LocalReplyError } from "../http/exchange.ts";
import { headerMutationFactory } from "./header-mutation.ts";
import { createTestChain } from "./test-exchange.ts";

const set = (key: string, value: string) => ({
  append: { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
});

describe("headerMutationFactory", () => {
  it("changes headers one after the other", async () => {
    const filter = {
      mutations: {
        request_mutations: [
          { append: { header: { key: "x-a", value: "%REQ(x-b)%" } } },
          { remove: "x-b" },
          { append: { header: { key: "x-e", value: "%REQ(none)%" } } },
        ],
        response_mutations: [{ append: { header: { key: "x-r", value: "%RESPONSE_CODE%" } } }],
      },
    };
    const chain = createTestChain(headerMutationFactory, { filter });
    const outcome = await chain.ask({ headers: { "x-a": "1", "x-b": "2" } });
    expect(outcome.forwarded?.headers).toEqual({ "x-a": "1,2" });
    expect(outcome.headers).toEqual({ "x-r": "200" });
    const local = await chain.ask({}, { throws: new LocalReplyError({ status: 401, details: "no" }) });
    expect([local.status, local.headers]).toEqual([401, { "x-r": "401" }]);
  });

  it.each([
    [false, "host"],
    [true, "route"],
  ])("lets the closest level have the last word: %s", async (most_specific_header_mutations_wins, expected) => {
    const perRoute = ["route", "host"].map((value) => ({ mutations: { request_mutations: [set("x-a", value)] } }));
    const filter = { mutations: { request_mutations: [set("x-a", "filter")] }, most_specific_header_mutations_wins };
    const outcome = await createTestChain(headerMutationFactory, { filter, perRoute }).ask();
    expect(outcome.forwarded?.headers).toEqual({ "x-a": expected });
  });

  it("refuses what is no mutation, and names that may not change", () => {
    const compile = (mutation: object) => () =>
      createTestChain(headerMutationFactory, { filter: { mutations: { request_mutations: [mutation] } } });
    expect(compile({})).toThrow("mutations.request_mutations[0]");
    expect(compile({ remove: ":path" })).toThrow("mutations.request_mutations[0]");
  });
});
