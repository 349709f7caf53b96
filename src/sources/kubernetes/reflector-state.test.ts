import { describe, expect, it } from "vitest";
import type { Failure } from "./failure.ts";
import { defaultLimits } from "./limits.ts";
import { type Effect, initialState, type ReflectorEvent, type ReflectorState, transition } from "./reflector-state.ts";

/** Runs events through the machine; gives the last state and the effects of the last event. */
function run(state: ReflectorState, ...events: readonly (ReflectorEvent & { readonly atMs?: number })[]) {
  let current = state;
  let effects: readonly Effect[] = [];
  for (const event of events) {
    [current, effects] = transition(current, event, { nowMs: event.atMs ?? 0, random: 0.5, limits: defaultLimits });
  }
  return { state: current, effects, types: effects.map(({ type }) => type) };
}

const failed = (type: Failure["type"]): ReflectorEvent => ({
  type: "failed",
  failure: { type, text: type, retryAfterMs: undefined },
});
const told = (resourceVersion: string, isBookmark = false): ReflectorEvent => ({
  type: "told",
  resourceVersion,
  isBookmark,
});
const listed = (resourceVersion: string): ReflectorEvent => ({ type: "listed", resourceVersion });

const streaming = run(initialState, { type: "started" }, { type: "found", version: "v1" }).state;
const watching = run(streaming, { type: "opened" }, listed("10")).state;

describe("a list", () => {
  it("is streamed, and its watch goes on", () => {
    expect(streaming.phase).toBe("streaming");
    const { state, types } = run(streaming, { type: "opened" }, listed("10"));
    expect(state).toMatchObject({ phase: "watching", isSynced: true, relists: 0, resourceVersion: "10" });
    expect(types).toEqual(["commit"]);
  });

  it("is read in pages at once where the server cannot stream, and ever after", () => {
    const { state, types } = run(streaming, failed("unsupported"));
    expect(types).toEqual(["discard", "list"]);
    const again = run(state, listed("10"), { type: "opened" }, failed("expired"), { type: "elapsed" });
    expect(again.effects).toEqual([{ type: "list", version: "v1", isWhole: false }]);
  });

  it("is read whole after the token of a page was too old", () => {
    const paged = run(streaming, failed("unsupported")).state;
    expect(run(paged, failed("expired"), { type: "elapsed" }).effects).toEqual([
      { type: "list", version: "v1", isWhole: true },
    ]);
  });

  it("that is older than what we have is believed the third time", () => {
    const relisting = run(watching, failed("expired"), { type: "elapsed" }, { type: "opened" }).state;
    const first = run(relisting, listed("5"));
    expect(first.types).toEqual(["cut", "discard", "wait"]);
    const second = run(first.state, { type: "elapsed" }, listed("5"));
    expect(second.types).toEqual(["cut", "discard", "wait"]);
    const third = run(second.state, { type: "elapsed" }, listed("5"));
    expect(third.types[0]).toBe("commit");
    expect(third.state).toMatchObject({ resourceVersion: "5", relists: 1 });
  });
});

describe("a watch", () => {
  it("goes on from the last event when the server ends it", () => {
    const { effects } = run(watching, told("12"), { type: "ended", atMs: 5 });
    expect(effects).toEqual([{ type: "watch", version: "v1", resourceVersion: "12" }]);
  });

  it("goes on from the last bookmark", () => {
    const { effects } = run(watching, told("20", true), { type: "ended", atMs: 60_000 });
    expect(effects).toEqual([{ type: "watch", version: "v1", resourceVersion: "20" }]);
  });

  it("that ends at once without a word is a failure", () => {
    expect(run(watching, told("20", true), { type: "ended", atMs: 5 }).types).toEqual(["wait"]);
  });

  it("asks the server when its resource versions go back, and keeps its own", () => {
    const { state, effects } = run(watching, told("12"), told("11"));
    expect(effects).toEqual([{ type: "probe", isAfterBreak: true }]);
    expect(state.resourceVersion).toBe("12");
  });

  it("takes versions that are no numbers as they come", () => {
    expect(run(watching, told("b"), told("a")).state.resourceVersion).toBe("a");
  });

  it("is compared with the server after it broke, not after it ended", () => {
    const broken = run(watching, failed("unreached"), { type: "elapsed" }, { type: "opened" });
    expect(broken.effects).toEqual([{ type: "probe", isAfterBreak: true }]);
    expect(run(watching, { type: "ended", atMs: 5000 }, { type: "opened" }).effects).toEqual([]);
  });

  it("that is deaf is opened again from where it stands, one with older data is listed", () => {
    const deaf = run(watching, { type: "probed", result: "deaf" });
    expect(deaf.types).toEqual(["cut", "wait"]);
    expect(run(deaf.state, { type: "elapsed" }).effects[0]).toMatchObject({ type: "watch", resourceVersion: "10" });
    const older = run(watching, { type: "probed", result: "older" }, { type: "elapsed" });
    expect(older.types).toEqual(["stream"]);
  });

  it("that brings an unknown object by an event from before where it stands is listed, once the server answered", () => {
    const known = run(watching, told("9"));
    expect(known.types).toEqual(["probe"]);
    expect(run(known.state, { type: "probed", result: "fine" }).types).toEqual([]);
    const late = run(watching, { type: "told", resourceVersion: "9", isBookmark: false, isNewObject: true });
    expect(late.types).toEqual(["probe"]);
    const doubted = run(late.state, { type: "probed", result: "fine" });
    expect(doubted.types).toEqual(["cut", "wait"]);
    const relisting = run(doubted.state, { type: "elapsed" });
    expect(relisting.types).toEqual(["stream"]);
    const settled = run(relisting.state, { type: "opened" }, listed("12"), { type: "probed", result: "fine" });
    expect(settled.types).toEqual([]);
  });

  it("that cannot be read three times at one place is listed", () => {
    const once = (state: ReflectorState) => run(state, failed("garbled"), { type: "elapsed" });
    const [first, second] = [once(watching), once(once(watching).state)];
    expect([first.types, second.types, once(second.state).types]).toEqual([["watch"], ["watch"], ["stream"]]);
  });

  it("that lived for a while makes the next failure the first again", () => {
    const worn = run(watching, failed("refused"), { type: "elapsed" }, failed("refused"), { type: "elapsed" }).state;
    const opened = run(worn, { type: "opened" }).state;
    const [soon, later] = [run(opened, failed("refused")), run(opened, { ...failed("refused"), atMs: 10_000 })];
    expect([soon.state.backoff.failures, later.state.backoff.failures]).toEqual([3, 1]);
  });
});

describe("a kind", () => {
  it("that is not served waits to be told of", () => {
    const missing = run(initialState, { type: "started" }, { type: "found", version: undefined });
    expect(missing.state).toMatchObject({ phase: "missing", fault: "missing" });
    expect(run(missing.state, { type: "served", version: "v1" }).types).toEqual(["cut", "discard", "stream"]);
  });

  it("whose watch is answered with 404 is looked for, and listed anew", () => {
    const looking = run(watching, failed("missing"), { type: "elapsed" });
    expect(looking.types).toEqual(["find"]);
    expect(run(looking.state, { type: "found", version: "v1" }).types).toEqual(["stream"]);
  });

  it("that is served in a better version is read from there", () => {
    expect(run(watching, { type: "served", version: "v1" }).types).toEqual([]);
    const { effects } = run(watching, { type: "served", version: "v2" });
    expect(effects.at(-1)).toEqual({ type: "stream", version: "v2" });
  });
});

it("comes back when the server is reached, without the long wait for one that refuses", () => {
  const refused = run(watching, failed("refused")).state;
  const unreached = run(watching, failed("unreached")).state;
  const reached: ReflectorEvent = { type: "reachable", isReady: false };
  expect(run(refused, reached).types).toEqual([]);
  expect(run(unreached, reached).types).toEqual(["cut", "wait"]);
  expect(run(refused, { type: "reachable", isReady: true }).types).toEqual(["cut", "wait"]);
});

it("hears nothing after it was stopped", () => {
  const stopped = run(watching, { type: "stopped" });
  expect(stopped.types).toEqual(["cut", "discard"]);
  expect(run(stopped.state, failed("refused"), { type: "elapsed" }, told("99")).state).toEqual(stopped.state);
});
