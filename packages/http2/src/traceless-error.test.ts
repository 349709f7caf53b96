import { describe, expect, it } from "vitest";
import { protocolError } from "./error-codes.ts";
import { TracelessError } from "./traceless-error.ts";

describe("TracelessError", () => {
  it.each([
    ["itself", new TracelessError("Name", "what")],
    ["what ends a connection", protocolError("what")],
  ])("is an error without a trace: %s", (_what, error) => {
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(TracelessError);
    expect((error as Error).stack).toBeUndefined();
    expect(String(error)).toBe(`${error.name}: ${error.message}`);
  });

  it("keeps its cause", () => {
    const cause = new Error("why");
    expect(new TracelessError("Name", "what", cause).cause).toBe(cause);
  });
});
