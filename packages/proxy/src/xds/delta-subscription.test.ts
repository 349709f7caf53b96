import { describe, expect, it } from "vitest";
import { type DeltaRequest, initialDelta, reduceDelta } from "./delta-subscription.ts";
import type { SubscriptionEvent, Wanted } from "./subscription-state.ts";

const connected: SubscriptionEvent = { kind: "connected" };
const disconnected: SubscriptionEvent = { kind: "disconnected" };
const want = (wanted: Wanted): SubscriptionEvent => ({ kind: "want", wanted });
const response = (nonce: string): SubscriptionEvent => ({ kind: "response", nonce });
const settled = (
  accepted: Readonly<Record<string, string>>,
  removed: readonly string[] = [],
  message?: string,
): SubscriptionEvent => ({
  kind: "settled",
  version: "",
  accepted: new Map(Object.entries(accepted)),
  removed,
  error: message === undefined ? undefined : { code: 13, message },
});

interface Transcript {
  readonly title: string;
  readonly steps: readonly (readonly [SubscriptionEvent, ...DeltaRequest[]])[];
}

const transcripts: readonly Transcript[] = [
  {
    title: "asks for the whole set, and tells a new stream what is there",
    steps: [
      [want("*")],
      [connected, {}],
      [response("n1")],
      [settled({ a: "1", b: "1" }), { response_nonce: "n1" }],
      [response("n2")],
      [settled({ a: "2" }, ["b"]), { response_nonce: "n2" }],
      [disconnected],
      [connected, { initial_resource_versions: { a: "2" } }],
    ],
  },
  {
    title: "sends what changed of the names",
    steps: [
      [want(["a"])],
      [connected, { resource_names_subscribe: ["a"] }],
      [want(["b"]), { resource_names_subscribe: ["b"], resource_names_unsubscribe: ["a"] }],
      [want(["b"])],
    ],
  },
  {
    title: "begins a type in the midst of a stream",
    steps: [[connected], [want(["a"]), { resource_names_subscribe: ["a"] }]],
  },
  {
    title: "refuses, and does not claim what it refused",
    steps: [
      [want(["a", "b"])],
      [connected, { resource_names_subscribe: ["a", "b"] }],
      [response("n1")],
      [settled({ a: "1" }, [], "bad b"), { response_nonce: "n1", error_detail: { code: 13, message: "bad b" } }],
      [disconnected],
      [connected, { resource_names_subscribe: ["a", "b"], initial_resource_versions: { a: "1" } }],
    ],
  },
  {
    title: "subscribes anew to a name that was let go and is wanted again while a response was tried",
    steps: [
      [want(["a", "b"])],
      [connected, { resource_names_subscribe: ["a", "b"] }],
      [response("n1")],
      [want(["a"])],
      [want(["a", "b"])],
      [settled({ a: "1", b: "1" }), { response_nonce: "n1", resource_names_subscribe: ["b"] }],
    ],
  },
  {
    title: "forgets the version of a name that is not wanted",
    steps: [
      [want(["a", "b"])],
      [connected, { resource_names_subscribe: ["a", "b"] }],
      [response("n1")],
      [settled({ a: "1", b: "1" }), { response_nonce: "n1" }],
      [want(["a"]), { resource_names_unsubscribe: ["b"] }],
      [disconnected],
      [connected, { resource_names_subscribe: ["a"], initial_resource_versions: { a: "1" } }],
    ],
  },
  {
    title: "remembers what it took when the stream was gone before the answer",
    steps: [
      [want("*")],
      [connected, {}],
      [response("n1")],
      [disconnected],
      [settled({ a: "1" })],
      [connected, { initial_resource_versions: { a: "1" } }],
    ],
  },
];

describe("reduceDelta", () => {
  it.each(transcripts)("$title", ({ steps }) => {
    let state = initialDelta;
    for (const [event, ...expected] of steps) {
      const [next, requests] = reduceDelta(state, event);
      expect([event.kind, requests]).toEqual([event.kind, expected]);
      state = next;
    }
  });
});
