import { TracelessError } from "@meltemi/http2/traceless-error";
import { describe, expect, it } from "vitest";
import { LocalReplyError } from "../http/exchange.ts";
import { UpstreamError } from "./types.ts";

describe("what fails a request", () => {
  it.each([
    ["a failure of an upstream", new UpstreamError("overflow")],
    ["a reply", new LocalReplyError({ status: 400, details: "what" })],
  ])("is an error without a trace: %s", (_what, error) => {
    expect(error).toBeInstanceOf(TracelessError);
    expect((error as Error).stack).toBeUndefined();
    expect(String(error)).toBe(`${error.name}: ${error.message}`);
  });

  it("keeps its cause", () => {
    const cause = new Error("why");
    expect(new UpstreamError("overflow", { cause }).cause).toBe(cause);
  });
});
