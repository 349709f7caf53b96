import { describe, expect, it } from "vitest";
import { parseDuration } from "./duration.ts";

describe("parseDuration", () => {
  it.each([
    ["0", 0],
    ["7s", 7000],
    ["1h30m", 5_400_000],
    ["0.5s", 500],
    ["1.5h", 5_400_000],
    ["250us", 0.25],
    ["30ms", 30],
    ["-2s", -2000],
    ["24h", 86_400_000],
  ])("reads %s", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(["", "5", "s", "1d", "1 s", "5s5"])("refuses %j", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});
