import { fromJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { createLayeredRuntime } from "./layered-runtime.ts";

const runtime = createLayeredRuntime(
  fromJson("envoy.config.bootstrap.v3.LayeredRuntime", {
    layers: [
      { name: "first", static_layer: { a: { b: 1, c: "7" }, on: true, text: "word", over: 1, half: 50 } },
      { name: "second", static_layer: { "a.b": 2, over: "2", share: { numerator: 1, denominator: "TEN_THOUSAND" } } },
      { name: "admin", admin_layer: {} },
    ],
  }),
);

describe("createLayeredRuntime", () => {
  it.each([
    ["a.b", 2],
    ["a.c", 7],
    ["over", 2],
    ["text", -1],
    ["nothing", -1],
  ])("gives %s as the number %d", (key, expected) => {
    expect(runtime.number(key, -1)).toBe(expected);
  });

  it.each([
    ["on", false, true],
    ["text", true, true],
    ["nothing", false, false],
    ["over", false, false],
  ])("gives %s, otherwise %s, as the flag %s", (key, otherwise, expected) => {
    expect(runtime.flag(key, otherwise)).toBe(expected);
  });

  it.each([
    ["the default", { default_value: { numerator: 25 } }, 0.25],
    ["a number by key", { runtime_key: "half", default_value: { numerator: 1, denominator: "MILLION" as const } }, 0.5],
    ["a fraction by key", { runtime_key: "share", default_value: { numerator: 100 } }, 0.0001],
  ])("draws by %s", (_what, fraction, share) => {
    expect(runtime.isChosen(fraction, share - 1e-9)).toBe(true);
    expect(runtime.isChosen(fraction, share)).toBe(false);
  });

  it("draws nothing of no share, and all where no fraction is given", () => {
    expect(runtime.isChosen({ default_value: {} }, 0)).toBe(false);
    expect(runtime.isChosen(undefined, 0.999)).toBe(true);
  });

  it("lets an administrator override values in the place of the administrator's layer", () => {
    const own = createLayeredRuntime({ layers: [{ name: "admin", admin_layer: {} }] });
    expect(own.modify?.(new Map([["a", "3"]]))).toBe(true);
    expect(own.number("a", 1)).toBe(3);
    own.modify?.(new Map([["a", ""]]));
    expect(own.number("a", 1)).toBe(1);
    expect(createLayeredRuntime({ layers: [{ name: "base", static_layer: {} }] }).modify?.(new Map())).toBe(false);
    const none = createLayeredRuntime(undefined);
    expect(none.modify?.(new Map([["a", "4"]]))).toBe(true);
    expect(none.number("a", 1)).toBe(4);
  });

  it("refuses layers that come from elsewhere", () => {
    expect(() => createLayeredRuntime({ layers: [{ name: "x", rtds_layer: { name: "x" } }] })).toThrow(
      "layered_runtime.layers[0].rtds_layer: is not supported",
    );
  });
});
