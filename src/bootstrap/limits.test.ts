import { expect, test } from "vitest";
import { resolveFlags } from "../config/flags.ts";
import { defaultLimits } from "../xds/limits.ts";
import { deriveXdsLimits } from "./limits.ts";

const derive = (environment: { readonly [name: string]: string }) =>
  deriveXdsLimits(resolveFlags({}, environment).flags);

test("the defaults of the flags are those of the limits, but for what depends on the machine", () => {
  const machine = { maxWriting: 0, maxNewStreamsPerSecond: 0 };
  expect({ ...derive({}), ...machine }).toEqual({ ...defaultLimits(1), ...machine });
});

test("the time for sending is a limit, and 0 is none", () => {
  expect(derive({ PILOT_XDS_SEND_TIMEOUT: "5s" }).sendTimeoutMs).toBe(5000);
  expect(derive({ PILOT_XDS_SEND_TIMEOUT: "0" }).sendTimeoutMs).toBe(Number.POSITIVE_INFINITY);
});

test("numbers are chosen by the machine unless they are given", () => {
  expect(derive({}).maxWriting).toBeGreaterThan(15);
  expect(derive({ PILOT_PUSH_THROTTLE: "3" }).maxWriting).toBe(3);
  expect(derive({ PILOT_MAX_REQUESTS_PER_SECOND: "2.5" }).maxNewStreamsPerSecond).toBe(2.5);
});
