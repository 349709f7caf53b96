/** What both variants of the protocol do alike when something happens on the server's side. */
import { deliverSet } from "./delivery.ts";
import { covers, unsubscribed } from "./subscription.ts";
import { type ContentEvent, forceNames, type WatchState } from "./watch.ts";

type SharedEvent = Extract<ContentEvent, { readonly kind: "sent" | "answerOverdue" | "resend" }>;

/** The state after a response was sent, after its answer did not come in time, and where names must be sent again. */
export function transitionShared(state: WatchState, event: SharedEvent): WatchState {
  switch (event.kind) {
    case "sent":
      return { ...markSent(state), delivery: deliverSet(state.delivery, event.plan.target, event.nonce) };
    case "answerOverdue":
      return state.delivery.kind === "waiting" ? { ...state, delivery: { ...state.delivery, isOverdue: true } } : state;
    case "resend":
      return forceNames(
        state,
        event.names.filter((name) => covers(state.subscription ?? unsubscribed, name)),
      );
  }
}

/** Nothing is owed any more. */
export function markSent(state: WatchState): WatchState {
  return { ...state, owed: "nothing", forced: new Set(), claimedVersion: "" };
}
