import { expect, it } from "vitest";
import { defaultFeatures } from "../../model/features.ts";
import { readAgentAddress, selectLookupFamily } from "./dynamic-forward.ts";

it.each([
  [undefined, undefined],
  ["", undefined],
  ["localhost:15053", undefined],
  ["127.0.0.1:15053", undefined],
  ["localhost:25053", "127.0.0.1:25053"],
  ["192.0.2.1:53", "192.0.2.1:53"],
  ["[fd00::1]:53", "[fd00::1]:53"],
  // As in Istio: what is no address and port counts as not said, and so does a port that is none.
  ["127.0.0.1", undefined],
  ["fd00::1", undefined],
  [":53", undefined],
  ["192.0.2.1:x", "192.0.2.1:15053"],
  ["192.0.2.1:70000", "192.0.2.1:15053"],
  [53, undefined],
])("an agent that says %j is asked at %j", (stated, expected) => {
  expect(readAgentAddress(stated)).toBe(expected);
});

it.each([
  [true, false, {}, "V4_ONLY"],
  [true, true, {}, "V4_ONLY"],
  [true, true, { dualStack: true }, "ALL"],
  [false, true, {}, "V6_ONLY"],
  [false, true, { ipv4OutboundListener: true }, "ALL"],
  [false, false, {}, "V4_ONLY"],
] as const)("with IPv4 %j, IPv6 %j and %j names are looked up as %s", (v4, v6, features, family) => {
  expect(selectLookupFamily({ ipFamilies: { v4, v6 } }, { ...defaultFeatures, ...features })).toBe(family);
});
