import { expect, test } from "vitest";
import { resolveFlags } from "../config/flags.ts";
import { defaultFeatures, formatFeatures } from "../model/features.ts";
import { deriveFeatures } from "./features.ts";

test("defaults of the flags and of the features are the same", () => {
  expect(deriveFeatures(resolveFlags({}, {}).flags)).toEqual(defaultFeatures);
});

test("a variable switches its feature, and the text says what differs from the defaults", () => {
  const features = deriveFeatures(resolveFlags({}, { ISTIO_DUAL_STACK: "true", PILOT_HTTP10: "true" }).flags);
  expect(features).toMatchObject({ dualStack: true, http10: true, quicListeners: false });
  expect(formatFeatures(features)).toBe('[["dualStack",true],["http10",true]]');
  expect(formatFeatures(defaultFeatures)).toBe("");
});
