import { describe, expect, it } from "vitest";
import { FloodGuard } from "./flood-guard.ts";

describe("FloodGuard", () => {
  it.each<readonly [string, (guard: FloodGuard) => void, number, number, boolean]>([
    ["settings", () => undefined, 10_000, 0, false],
    ["nothing but frames without content", () => undefined, 100_000, 1_000, true],
    ["a PING of 17 bytes each second for a week", () => undefined, 17 * 604_800, 604_800_000, false],
    [
      "heads of 60 KiB",
      (guard) => repeat(100, () => guard.addHead(["x-long", "a".repeat(60_000)])),
      6_001_500,
      0,
      false,
    ],
    [
      "100 PRIORITY frames for each request",
      (guard) => repeat(1_000, () => guard.addHead([":path", "/"])),
      1.4e6,
      0,
      false,
    ],
    ["1,000 PRIORITY frames for each", (guard) => repeat(1_000, () => guard.addHead([":path", "/"])), 1.4e7, 0, true],
    ["a body in pieces of a byte", (guard) => guard.addReceived(1e6), 1e7, 0, false],
    ["a WINDOW_UPDATE for each frame of an answer", (guard) => guard.addSent(1e9), (1e9 / 16_384) * 26, 0, false],
    ["a hundred of them for each", (guard) => guard.addSent(1e9), (1e9 / 16_384) * 1_300, 0, true],
  ])("judges %s", (_what, use, bytes, ageMs, expected) => {
    const guard = new FloodGuard();
    use(guard);
    expect(guard.isFlooded(bytes, ageMs)).toBe(expected);
  });
});

function repeat(count: number, run: () => void): void {
  for (let index = 0; index < count; index++) run();
}
