import { describe, expect, it } from "vitest";
import { formatListenAddress, parseFlag } from "./flag.ts";
import { type FlagKey, flagTable, resolveFlags } from "./flags.ts";

describe("parseFlag", () => {
  it.each([
    ["100ms", 100],
    ["10s", 10_000],
    ["1h30m", 5_400_000],
    ["1.5s", 1500],
    ["0", 0],
    ["infinity", Number.POSITIVE_INFINITY],
  ])("reads the duration %s", (text, ms) => {
    expect(parseFlag("duration", text)).toEqual({ value: ms });
  });

  it.each(["", "10", "-1s", "1d", "s", "1s "])("refuses the duration %j", (text) => {
    expect(parseFlag("duration", text)).toHaveProperty("problem");
  });

  it.each([
    [":8080", { host: "", port: 8080 }],
    ["127.0.0.1:0", { host: "127.0.0.1", port: 0 }],
    ["[::1]:15010", { host: "::1", port: 15010 }],
    ["localhost:1", { host: "localhost", port: 1 }],
  ])("reads the address %s and writes it back", (text, address) => {
    expect(parseFlag("address", text)).toEqual({ value: address });
    expect(formatListenAddress(address)).toBe(text);
  });

  it.each(["8080", ":65536", "::1:80", "host:", "host:port"])("refuses the address %j", (text) => {
    expect(parseFlag("address", text)).toHaveProperty("problem");
  });
});

describe("resolveFlags", () => {
  it("takes defaults that can all be read", () => {
    const { flags, problems } = resolveFlags({}, {});
    expect(problems).toEqual([]);
    expect(flags.grpcAddr).toEqual({ host: "", port: 15010 });
    expect(flags.debounceAfter).toBe(100);
    expect(flags.domain).toBe("cluster.local");
  });

  it("prefers the command line over the environment over the default", () => {
    const environment = { CLUSTER_ID: "east", POD_NAMESPACE: "mesh", PILOT_DEBOUNCE_MAX: "" };
    const { flags } = resolveFlags({ clusterId: "west" }, environment);
    expect(flags.clusterId).toBe("west");
    expect(flags.namespace).toBe("mesh");
    expect(flags.debounceMax).toBe(10_000);
  });

  it("names where a text that cannot be read came from", () => {
    const { problems } = resolveFlags({ httpAddr: "here" }, { PILOT_PUSH_THROTTLE: "many" });
    expect(problems).toHaveLength(2);
    expect(problems[0]).toMatch(/^--httpAddr: "here" is not an address/);
    expect(problems[1]).toMatch(/^environment variable PILOT_PUSH_THROTTLE: "many" is not a whole number/);
  });

  it("gives every flag an option or a variable, once", () => {
    const flags = Object.keys(flagTable).map((key) => flagTable[key as FlagKey]);
    const spellings = flags.flatMap((flag) => [
      ...("name" in flag && flag.name !== undefined ? [`--${flag.name}`] : []),
      ...("env" in flag && flag.env !== undefined ? [flag.env] : []),
    ]);
    expect(new Set(spellings).size).toBe(spellings.length);
    expect(spellings.length).toBeGreaterThanOrEqual(flags.length);
  });
});
