/**
 * State of the world (xds_protocol, "basic protocol overview" to "wildcard"): pure, `(state, event)` to
 * `[state, effects]`. A request repeats the whole subscription. Listeners and clusters are always sent whole; routes and
 * load assignments only where they differ.
 */
import { diffSets, findInSet, listSet, type ResourceSet } from "../push/resource-set.ts";
import { diffAttempts, forgetUnwanted, joinNames, nonceOf, nothingSent, settleNonce } from "./delivery.ts";
import { markSent, transitionShared } from "./shared-transitions.ts";
import { covers, isUnsubscribed, isWildcard, namesOf, replaceSubscription, unsubscribed } from "./subscription.ts";
import {
  type ContentEvent,
  type ErrorDetail,
  forceNames,
  type ResponsePlan,
  type Transition,
  type WatchState,
} from "./watch.ts";

export interface SotwRequest {
  readonly kind: "request";
  readonly names: readonly string[];
  /** Last version that the client took. */
  readonly version: string;
  readonly nonce: string;
  readonly error: ErrorDetail | undefined;
}

export type SotwEvent = SotwRequest | ContentEvent;

export function transitionSotw(state: WatchState, event: SotwEvent): Transition {
  switch (event.kind) {
    case "request":
      return handleRequest(state, event);
    case "content":
      return handleContent(state, event.target);
    case "sent":
    case "answerOverdue":
    case "resend":
      return [transitionShared(state, event), []];
    case "maybeWarming":
      return [{ ...state, mayBeWarming: true }, []];
  }
}

function handleRequest(state: WatchState, request: SotwRequest): Transition {
  const isFirst = state.subscription === undefined;
  // Without a nonce the client begins anew, also in the midst of a stream. Before the first response no nonce can be
  // one of this stream: it is left over from an earlier one.
  if (isFirst || request.nonce === "" || state.delivery.kind === "none") {
    const mayClaim = isFirst && request.nonce === "" && request.error === undefined;
    return [
      {
        ...state,
        subscription: replaceSubscription(state.subscription, request.names, state.type.isWholeSet),
        delivery: nothingSent,
        owed: "everything",
        claimedVersion: mayClaim ? request.version : "",
      },
      [],
    ];
  }
  // An answer to an older response says nothing about the newest, and its list of names may be older too.
  if (request.nonce !== nonceOf(state.delivery)) {
    return [noteDropped(state, request.names), [{ kind: "staleNonce", nonce: request.nonce }]];
  }
  const isRepeated = state.delivery.kind !== "waiting";
  const [settled, effects] = settle(state, request);
  return [resubscribe(settled, request, isRepeated), effects];
}

/**
 * A list that came too late to count still tells which names the client dropped since. Should the answer to the newest
 * response ask for them again, nothing in it would say that the client has forgotten them: they are sent again then.
 */
function noteDropped(state: WatchState, listed: readonly string[]): WatchState {
  // A whole set that is under way brings everything anyway.
  if (state.delivery.kind !== "waiting" || state.type.isWholeSet) return state;
  const kept = new Set(listed);
  return forceNames(
    state,
    [...namesOf(state.subscription ?? unsubscribed).names].filter((name) => !kept.has(name)),
  );
}

function settle(state: WatchState, { nonce, error }: SotwRequest): Transition {
  const { delivery } = state;
  if (delivery.kind !== "waiting") return [state, []];
  // Older responses without an answer are answered with the newest: their answers would be stale.
  const newest = { ...delivery, outstanding: [nonce], isSpoiled: false };
  const settled = { ...state, delivery: settleNonce(newest, nonce, error !== undefined) };
  if (error === undefined) return [{ ...settled, refusals: 0 }, [{ kind: "acknowledged", nonce }]];
  return [{ ...settled, refusals: state.refusals + 1 }, [{ kind: "refused", nonce, error }]];
}

function resubscribe(state: WatchState, request: SotwRequest, isRepeated: boolean): WatchState {
  const before = state.subscription ?? unsubscribed;
  const after = replaceSubscription(before, request.names, state.type.isWholeSet);
  if (after === before || (after.kind === "legacyWildcard" && before.kind === "legacyWildcard")) {
    const isWarming = isRepeated && state.mayBeWarming && request.error === undefined;
    return isWarming ? { ...state, owed: "everything", mayBeWarming: false } : state;
  }
  const added = [...namesOf(after).names].some((name) => !namesOf(before).names.has(name));
  const isNewKind = isWildcard(before) !== isWildcard(after);
  return {
    ...state,
    subscription: after,
    delivery: forgetUnwanted(state.delivery, (name) => keeps(state, name, before) && covers(after, name)),
    owed: added || isNewKind ? "answer" : state.owed,
  };

  /** Asked for by name for the first time: to be sent although the client may have it by a wildcard (C-8). */
  function keeps(watch: WatchState, name: string, earlier: typeof before): boolean {
    return watch.type.isWholeSet || namesOf(earlier).names.has(name) || !namesOf(after).names.has(name);
  }
}

function handleContent(state: WatchState, target: ResourceSet): Transition {
  const { subscription, delivery, type } = state;
  if (subscription === undefined) return [state, []];
  // Also of listeners and clusters nothing is sent to who wants nothing: an empty set would not mean it.
  if (isUnsubscribed(subscription)) return [markSent(state), []];
  if (delivery.kind === "waiting" && !delivery.isOverdue) return [state, []];
  // The client's own set is the one of now. Load assignments and routes are answered all the same: the client may be
  // in the midst of waiting for them.
  if (
    delivery.kind === "none" &&
    type.isWholeSet &&
    isWildcard(subscription) &&
    state.claimedVersion === target.version
  ) {
    return [{ ...markSent(state), delivery: { kind: "accepted", held: target, nonce: "" } }, []];
  }
  const plan = planResponse(state, target);
  if (plan === undefined) {
    const isCurrent = delivery.kind === "accepted";
    return [isCurrent ? { ...state, forced: new Set(), delivery: { ...delivery, held: target } } : state, []];
  }
  return [state, [{ kind: "send", plan }]];
}

function planResponse(state: WatchState, target: ResourceSet): ResponsePlan | undefined {
  const { delivery, owed } = state;
  if (delivery.kind === "none" || owed === "everything") return { target, names: undefined, removed: [] };
  const forced = [...state.forced].filter((name) => findInSet(target, name) !== undefined);
  const isSameAsRefused = delivery.kind === "rejected" && isSame(delivery.refused, target);
  if (isSameAsRefused && owed === "nothing" && forced.length === 0) return undefined;
  const held = delivery.kind === "waiting" ? delivery.target : heldOf(delivery);
  const difference = diffSets(held, target);
  const overRefused = delivery.kind === "rejected" && !isSameAsRefused ? diffAttempts(delivery, target).changed : [];
  const names = joinNames([difference.changed, overRefused, forced]);
  if (state.type.isWholeSet) {
    const differs = names.length > 0 || difference.removed.length > 0 || delivery.kind === "rejected";
    return differs || owed !== "nothing" ? { target, names: undefined, removed: [] } : undefined;
  }
  if (names.length === 0 && owed === "nothing") return undefined;
  return { target, names: names.length === countOf(target) ? undefined : names, removed: [] };
}

function heldOf(delivery: Exclude<WatchState["delivery"], { kind: "waiting" }>): ResourceSet {
  return delivery.kind === "rejected" ? delivery.base : delivery.held;
}

function isSame(a: ResourceSet, b: ResourceSet): boolean {
  return a.version === b.version;
}

/** Number of resources in a set. */
export function countOf(set: ResourceSet): number {
  const [only] = set.parts;
  if (set.parts.length === 1 && only !== undefined) return only.byName.size;
  return [...listSet(set)].length;
}
