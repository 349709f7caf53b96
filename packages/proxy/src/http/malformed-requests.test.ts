import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { collect } from "./body.ts";
import { malformedRequests } from "./malformed-corpus.ts";
import { startTestServer, type TestServer, textResponse } from "./test-server.ts";

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({
    // Reads the whole body first, as a filter behind a careless parser would.
    async handle({ request }) {
      if (request.body !== undefined) await collect(request.body, 1e6);
      return textResponse(200, "ok");
    },
  });
});

afterAll(() => server.close());

describe("malformed requests", () => {
  it("are many, and different", () => {
    const inputs = new Set(malformedRequests.map(({ bytes }) => bytes));
    expect(inputs.size).toBeGreaterThanOrEqual(150);
    expect(new Set(malformedRequests.map(({ name }) => name)).size).toBe(malformedRequests.length);
  });

  it.each(malformedRequests)("$name", async ({ bytes, statuses }) => {
    const before = server.seen.length;
    const { text, isClosed } = await server.ask(bytes);
    expect(isClosed).toBe(true);
    expect([...text.matchAll(/HTTP\/1\.\d (\d{3}) /g)].map(([, status]) => Number(status))).toEqual(statuses);
    expect(text).toContain("connection: close\r\n");
    expect(server.seen.slice(before).filter((request) => request.includes("smuggled"))).toEqual([]);
  });

  it.each(malformedRequests.filter(({ bytes }) => bytes.length < 2_000))("in pieces: $name", async (malformed) => {
    const before = server.seen.length;
    const { text, isClosed } = await server.ask(malformed.bytes.match(/.{1,17}/gs) ?? []);
    expect(isClosed).toBe(true);
    expect([...text.matchAll(/HTTP\/1\.\d (\d{3}) /g)].map(([, status]) => Number(status))).toEqual(malformed.statuses);
    expect(server.seen.slice(before).filter((request) => request.includes("smuggled"))).toEqual([]);
  });

  it("leave nothing behind", async () => {
    await expect.poll(() => server.stat("http.test.downstream_rq_active")).toBe(0);
    expect(server.stat("http.test.downstream_cx_protocol_error")).toBeGreaterThan(150);
  });
});
