import { packAny, struct } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { compileFilterConfig, findHttpFilter, httpFilterFactories } from "./registry.ts";
import { createTestEnv } from "./test-exchange.ts";
import { unpackConfig } from "./unpack-config.ts";

describe("httpFilterFactories", () => {
  it("has each name and each type once, and the router", () => {
    const names = httpFilterFactories.map(({ name }) => name);
    const types = httpFilterFactories.map(({ type }) => type);
    expect([new Set(names).size, new Set(types).size]).toEqual([names.length, types.length]);
    expect(findHttpFilter("envoy.extensions.filters.http.router.v3.Router")?.name).toBe("envoy.filters.http.router");
    expect(findHttpFilter("envoy.extensions.filters.http.lua.v3.Lua")).toBeUndefined();
  });
});

describe("compileFilterConfig", () => {
  const env = createTestEnv(createStatsRegistry());
  const compile = (any: ReturnType<typeof packAny>, isOptional = false) =>
    compileFilterConfig("f", any, isOptional, env);

  it("finds the filter by the type of what a route says", () => {
    expect(compile(packAny("envoy.extensions.filters.http.buffer.v3.BufferPerRoute", { disabled: true }))).toBe("off");
  });

  it("refuses unknown types by name, unless they are optional", () => {
    const lua = packAny("envoy.extensions.filters.http.lua.v3.LuaPerRoute", { disabled: true });
    expect(() => compile(lua)).toThrow(
      "no HTTP filter takes envoy.extensions.filters.http.lua.v3.LuaPerRoute from routes (f)",
    );
    expect(compile(lua, true)).toBeUndefined();
    expect(compile({ type_url: "type.googleapis.com/no.such.Type" }, true)).toBeUndefined();
  });

  it.each(["udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"] as const)("reads %s", (type) => {
    const any = packAny(type, {
      type_url: "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
      value: struct({ buffer: { max_request_bytes: 7 } }),
    });
    expect(compile(any)).toBe(7);
    const wrong = packAny(type, { type_url: "type.googleapis.com/stats.PluginConfig", value: struct({ nonsense: 1 }) });
    expect(() => unpackConfig(wrong)).toThrow("nonsense");
  });
});
