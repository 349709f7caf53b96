/** State of one type on one stream, shared by both variants of the protocol, and what happens to it. */
import type { ResourceSet } from "../push/resource-set.ts";
import type { ResourceType } from "../push/resource-types.ts";
import { type Delivery, nothingSent } from "./delivery.ts";
import type { Subscription } from "./subscription.ts";

export interface WatchState {
  readonly type: ResourceType;
  /** Undefined until the first request. */
  readonly subscription: Subscription | undefined;
  readonly delivery: Delivery;
  /** Whether an answer must come even where nothing differs: any answer, or one with everything subscribed. */
  readonly owed: "nothing" | "answer" | "everything";
  /** Names to send, or to say that they do not exist, even where the client has them. */
  readonly forced: ReadonlySet<string>;
  /** State of the world: version that the first request of the stream said the client has; "" where it said none. */
  readonly claimedVersion: string;
  /**
   * A response of another type may have made the client wait for resources of this one, for which it asks with what
   * looks like an acknowledgement that was already given.
   */
  readonly mayBeWarming: boolean;
  /** Responses refused one after the other. */
  readonly refusals: number;
}

export function createWatch(type: ResourceType): WatchState {
  return {
    type,
    subscription: undefined,
    delivery: nothingSent,
    owed: "nothing",
    forced: new Set(),
    claimedVersion: "",
    mayBeWarming: false,
    refusals: 0,
  };
}

/** google.rpc.Status of a request, as far as it counts. */
export interface ErrorDetail {
  readonly code: number;
  readonly message: string;
}

/** One response to be sent. */
export interface ResponsePlan {
  /** What the client has after it. */
  readonly target: ResourceSet;
  /** Names of `target` that it carries; undefined: all of them. */
  readonly names: readonly string[] | undefined;
  /** Delta: names that it says are not there. */
  readonly removed: readonly string[];
}

/** Events that both variants have beside their requests. */
export type ContentEvent =
  /** `target` is what the client is to have now. */
  | { readonly kind: "content"; readonly target: ResourceSet }
  | { readonly kind: "sent"; readonly plan: ResponsePlan; readonly nonce: string }
  /** The client has had its time to answer the last response. */
  | { readonly kind: "answerOverdue" }
  /** These must be sent again: the client waits for them after a response of another type. */
  | { readonly kind: "resend"; readonly names: readonly string[] }
  | { readonly kind: "maybeWarming" };

export type Effect =
  | { readonly kind: "send"; readonly plan: ResponsePlan }
  | { readonly kind: "acknowledged"; readonly nonce: string }
  | { readonly kind: "refused"; readonly nonce: string; readonly error: ErrorDetail }
  | { readonly kind: "staleNonce"; readonly nonce: string };

export type Transition = readonly [WatchState, readonly Effect[]];

/** The part of a resend that the subscription covers is remembered until the next response. */
export function forceNames(state: WatchState, names: readonly string[]): WatchState {
  return names.length === 0 ? state : { ...state, forced: new Set([...state.forced, ...names]) };
}
