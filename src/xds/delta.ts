/**
 * Incremental (xds_protocol, "incremental xDS"): pure, `(state, event)` to `[state, effects]`. A request changes the
 * subscription, also when its nonce is stale; answers to responses are told apart by the nonce alone.
 */
import {
  diffSets,
  findInSet,
  listSet,
  type ResourceSet,
  restrictSet,
  type SetDifference,
} from "../push/resource-set.ts";
import { basisOf, diffAttempts, forgetUnwanted, joinNames, settleNonce } from "./delivery.ts";
import { markSent, transitionShared } from "./shared-transitions.ts";
import { countOf } from "./sotw.ts";
import {
  changeSubscription,
  covers,
  isUnsubscribed,
  isWildcard,
  namesOf,
  type Subscription,
  wildcard,
} from "./subscription.ts";
import {
  type ContentEvent,
  type ErrorDetail,
  forceNames,
  type ResponsePlan,
  type Transition,
  type WatchState,
} from "./watch.ts";

export interface DeltaRequest {
  readonly kind: "request";
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** What the client brings along from an earlier stream. Counts only in the first request. */
  readonly brought: ResourceSet;
  readonly nonce: string;
  readonly error: ErrorDetail | undefined;
}

export type DeltaEvent = DeltaRequest | ContentEvent;

export function transitionDelta(state: WatchState, event: DeltaEvent): Transition {
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
      // A delta client asks again by name for what it waits for: there is nothing to be guessed.
      return [state, []];
  }
}

function handleRequest(state: WatchState, request: DeltaRequest): Transition {
  if (state.subscription === undefined) return [handleFirst(state, request), []];
  const [settled, effects] = settle(state, request);
  return [resubscribe(settled, state.subscription, request), effects];
}

function handleFirst(state: WatchState, request: DeltaRequest): WatchState {
  const subscription = changeSubscription(undefined, request, state.type.isWholeSet);
  const { brought } = request;
  // Only what is subscribed to: having a resource is not asking for it.
  const held = restrictSet(brought, (name) => covers(subscription, name));
  const asked = request.subscribe.filter(
    (name) => findInSet(brought, name) === undefined && namesOf(subscription).names.has(name),
  );
  const base: WatchState = {
    ...state,
    subscription,
    delivery: { kind: "none", held },
    // Also where the client has everything: its initialization waits for an answer.
    owed: "answer",
  };
  return forceNames(base, asked);
}

function settle(state: WatchState, { nonce, error }: DeltaRequest): Transition {
  const { delivery } = state;
  if (nonce === "") return [state, []];
  if (delivery.kind !== "waiting" || !delivery.outstanding.includes(nonce)) {
    const isRepeated = delivery.kind !== "waiting" && delivery.kind !== "none" && delivery.nonce === nonce;
    return [state, isRepeated ? [] : [{ kind: "staleNonce", nonce }]];
  }
  const settled = { ...state, delivery: settleNonce(delivery, nonce, error !== undefined) };
  if (error === undefined) return [{ ...settled, refusals: 0 }, [{ kind: "acknowledged", nonce }]];
  return [{ ...settled, refusals: state.refusals + 1 }, [{ kind: "refused", nonce, error }]];
}

function resubscribe(state: WatchState, before: Subscription, request: DeltaRequest): WatchState {
  if (request.subscribe.length === 0 && request.unsubscribe.length === 0) return state;
  const after = changeSubscription(before, request, state.type.isWholeSet);
  const delivery = after === before ? state.delivery : forgetUnwanted(state.delivery, (name) => covers(after, name));
  const asked = request.subscribe.filter((name) => name !== wildcard && covers(after, name));
  // Dropped by name but still covered by the wildcard: the client must learn which of the two the resource now is.
  const dropped = request.unsubscribe.filter((name) => isWildcard(after) && namesOf(before).names.has(name));
  const isAnswerDue = asked.length > 0 || dropped.length > 0 || (!isWildcard(before) && isWildcard(after));
  const next = { ...state, subscription: after, delivery, owed: isAnswerDue ? ("answer" as const) : state.owed };
  const kept = { ...next, forced: new Set([...state.forced].filter((name) => covers(after, name))) };
  return forceNames(kept, [...asked, ...dropped]);
}

function handleContent(state: WatchState, target: ResourceSet): Transition {
  const { subscription, delivery, owed } = state;
  if (subscription === undefined) return [state, []];
  if (isUnsubscribed(subscription)) return [markSent(state), []];
  // What the client asks for is answered at once; what changed by itself waits for the answer to the last response.
  if (delivery.kind === "waiting" && !delivery.isOverdue && owed === "nothing") return [state, []];
  const plan = planResponse(state, target);
  if (plan !== undefined) return [state, [{ kind: "send", plan }]];
  if (delivery.kind !== "accepted") return [state, []];
  return [{ ...state, delivery: { ...delivery, held: target } }, []];
}

const unchanged: SetDifference = { changed: [], removed: [] };

function planResponse(state: WatchState, target: ResourceSet): ResponsePlan | undefined {
  const { delivery, owed } = state;
  const isSameAsRefused = delivery.kind === "rejected" && delivery.refused.version === target.version;
  if (isSameAsRefused && owed === "nothing" && state.forced.size === 0) return undefined;
  const difference = diffSets(basisOf(delivery), target);
  // Resources of a refused response that went back to what they were are sent once more, so that the client's state is
  // known to be good again.
  const overRefused = delivery.kind === "rejected" && !isSameAsRefused ? diffAttempts(delivery, target) : unchanged;
  const forced = [...state.forced];
  const present = forced.filter((name) => findInSet(target, name) !== undefined);
  const absent = forced.filter((name) => findInSet(target, name) === undefined);
  const changed = joinNames([difference.changed, overRefused.changed, present]);
  const names = owed === "everything" ? [...listSet(target)].map(({ name }) => name) : changed;
  const removed = joinNames([difference.removed, overRefused.removed, absent]);
  if (names.length === 0 && removed.length === 0 && owed === "nothing") return undefined;
  return { target, names: names.length === countOf(target) ? undefined : names, removed };
}
