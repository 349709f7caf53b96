import { describe, expect, it } from "vitest";
import { initialSotw, reduceSotw, type SotwRequest } from "./sotw-subscription.ts";
import type { SubscriptionEvent, Wanted } from "./subscription-state.ts";

const connected: SubscriptionEvent = { kind: "connected" };
const disconnected: SubscriptionEvent = { kind: "disconnected" };
const want = (wanted: Wanted): SubscriptionEvent => ({ kind: "want", wanted });
const response = (nonce: string): SubscriptionEvent => ({ kind: "response", nonce });
const settled = (version: string, message?: string): SubscriptionEvent => ({
  kind: "settled",
  version,
  accepted: new Map(),
  removed: [],
  error: message === undefined ? undefined : { code: 13, message },
});
const request = (names: readonly string[], version: string, nonce: string, message?: string): SotwRequest => ({
  resource_names: names,
  version_info: version,
  response_nonce: nonce,
  ...(message === undefined ? {} : { error_detail: { code: 13, message } }),
});

interface Transcript {
  readonly title: string;
  readonly steps: readonly (readonly [SubscriptionEvent, ...SotwRequest[]])[];
}

const transcripts: readonly Transcript[] = [
  {
    title: "asks for the whole set by no name, and acknowledges",
    steps: [[want("*")], [connected, request([], "", "")], [response("n1")], [settled("v1"), request([], "v1", "n1")]],
  },
  {
    title: "says nothing of a type of which nothing is wanted",
    steps: [[connected], [want(["a"]), request(["a"], "", "")]],
  },
  {
    title: "refuses with the version that was taken last",
    steps: [
      [want(["a"])],
      [connected, request(["a"], "", "")],
      [response("n1")],
      [settled("v1"), request(["a"], "v1", "n1")],
      [response("n2")],
      [settled("v2", "bad"), request(["a"], "v1", "n2", "bad")],
    ],
  },
  {
    title: "announces its version again on a new stream, without the old nonce",
    steps: [
      [want(["a"])],
      [connected, request(["a"], "", "")],
      [response("n1")],
      [settled("v1"), request(["a"], "v1", "n1")],
      [disconnected],
      [want(["a", "b"])],
      [connected, request(["a", "b"], "v1", "")],
    ],
  },
  {
    title: "does not answer a response on a stream that is gone",
    steps: [[want("*")], [connected, request([], "", "")], [response("n1")], [disconnected], [settled("v1")]],
  },
  {
    title: "tells changed names with the answer to a response that is being tried",
    steps: [
      [want(["a"])],
      [connected, request(["a"], "", "")],
      [response("n1")],
      [want(["a", "b"])],
      [settled("v1"), request(["a", "b"], "v1", "n1")],
    ],
  },
  {
    title: "lets a name go before it asks for it again",
    steps: [
      [want(["a", "b"])],
      [connected, request(["a", "b"], "", "")],
      [response("n1")],
      [want(["a"])],
      [want(["a", "b"])],
      [settled("v1"), request(["a"], "v1", "n1"), request(["a", "b"], "v1", "n1")],
    ],
  },
  {
    title: "says that nothing is wanted any more",
    steps: [[want(["a"])], [connected, request(["a"], "", "")], [want([]), request([], "", "")], [want([])]],
  },
];

describe("reduceSotw", () => {
  it.each(transcripts)("$title", ({ steps }) => {
    let state = initialSotw;
    for (const [event, ...expected] of steps) {
      const [next, requests] = reduceSotw(state, event);
      expect([event.kind, requests]).toEqual([event.kind, expected]);
      state = next;
    }
  });
});
