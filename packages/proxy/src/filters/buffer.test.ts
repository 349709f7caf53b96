import { describe, expect, it } from "vitest";
import { bufferFactory } from "./buffer.ts";
import { createTestChain } from "./test-exchange.ts";

const limit = (value: number) => ({ max_request_bytes: { value } });

describe("bufferFactory", () => {
  it.each([
    ["hello", [], 200],
    ["hello!", [], 413],
    ["hello!", [{ buffer: limit(6) }], 200],
    ["hello!", [{ disabled: true }], 200],
  ])("%s with %j of routes: %s", async (body, perRoute, status) => {
    const outcome = await createTestChain(bufferFactory, { filter: limit(5), perRoute }).ask({ method: "POST", body });
    expect(outcome.status).toBe(status);
    if (status === 413)
      expect(outcome.reply).toMatchObject({ body: "Payload Too Large", details: "request_payload_too_large" });
    else expect(outcome.forwarded?.body).toBe(body);
  });

  it("says how long a body is that did not say it, and refuses no limit", async () => {
    const outcome = await createTestChain(bufferFactory, { filter: limit(5) }).ask({ body: "hel" });
    expect(outcome.forwarded?.headers).toEqual({ "content-length": "3" });
    expect(() => createTestChain(bufferFactory, { filter: {} })).toThrow("max_request_bytes");
  });
});
