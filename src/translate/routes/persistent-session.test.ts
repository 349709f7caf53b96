import { expect, test } from "vitest";
import { combineSessions } from "./persistent-session.ts";

test.each([
  [[], undefined],
  [["a"], "a"],
  [["a", "b"], "a"],
  [["a", undefined], undefined],
  [[undefined, "b"], "b"],
])("sessions of %j", (sessions, expected) => {
  expect(combineSessions(sessions)).toBe(expected);
});
