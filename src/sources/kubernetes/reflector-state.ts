/**
 * What a reflector does next: pure, without time, network or objects. The edge (reflector.ts) performs the effects and
 * reports what came of them. Objects never pass through here, only resource versions.
 */
import { type Backoff, nextBackoff, noBackoff } from "./backoff.ts";
import type { Failure } from "./failure.ts";
import type { KubernetesLimits } from "./limits.ts";
import { isOlder } from "./resource-version.ts";

export type Step = "find" | "list" | "watch";

export interface ReflectorState {
  readonly phase:
    | "stopped"
    /** Asks which version of the kind is served. */
    | "finding"
    | "listing"
    /** Reads the list as the first events of a watch. */
    | "streaming"
    | "watching"
    | "waiting"
    /** The kind is not served; somebody else looks for it from time to time. */
    | "missing";
  /** What follows the wait. */
  readonly next: Step;
  readonly version: string | undefined;
  /** Where the watch goes on; "" before the first list. */
  readonly resourceVersion: string;
  /** A whole list was taken in once. */
  readonly isSynced: boolean;
  readonly fault: "none" | "forbidden" | "missing" | "broken";
  readonly lastFailure: Failure | undefined;
  /** Of a server that is not reached; apart from the other, so that its return is not met with a long wait. */
  readonly unreachedBackoff: Backoff;
  /** Of a server that answers, but not with what was asked for. */
  readonly backoff: Backoff;
  readonly canStream: boolean;
  /** The list is read in pages this time, though the server can stream it. */
  readonly isPagedOnce: boolean;
  /** The token of the next page was too old: the list is read in one piece. */
  readonly isWholeOnce: boolean;
  /** Lists in a row that were older than what we have. */
  readonly staleLists: number;
  /** An object came up that we do not know, by an event from before where the watch stood: it may be gone already. */
  readonly isDoubted: boolean;
  /** Watches in a row that broke off with something unreadable. */
  readonly garbledWatches: number;
  /** When the server accepted the watch, on the monotonic clock; undefined before. */
  readonly openedAtMs: number | undefined;
  /** The watch told at least one event. */
  readonly hasEvents: boolean;
  /** The last watch did not end in good order: the server may have come back with older data. */
  readonly isAfterBreak: boolean;
  /** Whole lists taken in after the first. */
  readonly relists: number;
  readonly failures: number;
}

export const initialState: ReflectorState = {
  phase: "stopped",
  next: "find",
  version: undefined,
  resourceVersion: "",
  isSynced: false,
  fault: "none",
  lastFailure: undefined,
  unreachedBackoff: noBackoff,
  backoff: noBackoff,
  canStream: true,
  isPagedOnce: false,
  isWholeOnce: false,
  staleLists: 0,
  isDoubted: false,
  garbledWatches: 0,
  openedAtMs: undefined,
  hasEvents: false,
  isAfterBreak: false,
  relists: 0,
  failures: 0,
};

export type ReflectorEvent =
  | { readonly type: "started" }
  | { readonly type: "stopped" }
  /** What the look-up said; undefined where no version that we read is served. */
  | { readonly type: "found"; readonly version: string | undefined }
  /** The same from the look-up that runs from time to time. */
  | { readonly type: "served"; readonly version: string }
  /** A list is complete, but not taken in yet. */
  | { readonly type: "listed"; readonly resourceVersion: string }
  /** The server accepted a watch. */
  | { readonly type: "opened" }
  /** An event was taken in, or a bookmark read. */
  | ToldEvent
  | { readonly type: "ended" }
  | { readonly type: "failed"; readonly failure: Failure }
  | { readonly type: "elapsed" }
  | { readonly type: "probed"; readonly result: "fine" | "deaf" | "older" }
  /** Somebody else reached the server again; `isReady`: it says that it has started up. */
  | { readonly type: "reachable"; readonly isReady: boolean };

export interface ToldEvent {
  readonly type: "told";
  readonly resourceVersion: string;
  readonly isBookmark: boolean;
  /** It brought an object that was not known. */
  readonly isNewObject?: boolean;
}

export type Effect =
  | { readonly type: "find" }
  | { readonly type: "list"; readonly version: string; readonly isWhole: boolean }
  | { readonly type: "stream"; readonly version: string }
  | { readonly type: "watch"; readonly version: string; readonly resourceVersion: string }
  | { readonly type: "wait"; readonly delayMs: number }
  /** Compare with the server; `isAfterBreak` only asks whether its data are older than ours. */
  | { readonly type: "probe"; readonly isAfterBreak: boolean }
  /** Take in, or drop, the list that was read. */
  | { readonly type: "commit" }
  | { readonly type: "discard" }
  /** End what is under way. */
  | { readonly type: "cut" };

export interface TransitionContext {
  /** On the monotonic clock. */
  readonly nowMs: number;
  /** From 0 up to but not including 1. */
  readonly random: number;
  readonly limits: KubernetesLimits;
}

export type Transition = readonly [ReflectorState, readonly Effect[]];

/** So many answers in a row must be older than what we have before we believe that the server's data went back. */
const believedStaleLists = 3;
const maxGarbledWatches = 3;
/** A watch that lived so long proves that the server is well: the next failure is the first again. */
const provenMs = 10_000;

export function transition(state: ReflectorState, event: ReflectorEvent, context: TransitionContext): Transition {
  if (event.type === "stopped") return [{ ...state, phase: "stopped" }, [{ type: "cut" }, { type: "discard" }]];
  if (state.phase === "stopped" && event.type !== "started") return [state, []];
  switch (event.type) {
    case "started":
      return begin(state, "find");
    case "found":
      return event.version === undefined ? handleMissing(state) : begin({ ...state, version: event.version }, "list");
    case "served":
      return handleServed(state, event.version);
    case "listed":
      return handleListed(state, event.resourceVersion, context);
    case "opened":
      return handleOpened(state, context);
    case "told":
      return handleTold(state, event);
    case "ended":
      return handleEnded(state, context);
    case "failed":
      return handleFailure(state, event.failure, context);
    case "elapsed":
      return state.phase === "waiting" ? begin(state, state.next) : [state, []];
    case "probed":
      return handleProbed(state, event.result, context);
    case "reachable":
      return handleReachable(state, event.isReady, context);
  }
}

/** Starts a step. */
function begin(state: ReflectorState, step: Step): Transition {
  const { version, resourceVersion } = state;
  if (version === undefined || step === "find") return [{ ...state, phase: "finding" }, [{ type: "find" }]];
  if (step === "watch" && resourceVersion !== "") {
    return [{ ...state, phase: "watching", hasEvents: false }, [{ type: "watch", version, resourceVersion }]];
  }
  const isStreamed = state.canStream && !state.isPagedOnce && !state.isWholeOnce;
  return isStreamed
    ? [{ ...state, phase: "streaming", hasEvents: false }, [{ type: "stream", version }]]
    : [{ ...state, phase: "listing" }, [{ type: "list", version, isWhole: state.isWholeOnce }]];
}

function handleMissing(state: ReflectorState): Transition {
  return [{ ...state, phase: "missing", fault: "missing", version: undefined }, []];
}

/** A version that is preferred to ours, or the first one at all: everything is read anew from there. */
function handleServed(state: ReflectorState, version: string): Transition {
  if (state.phase === "finding" || state.version === version) return [state, []];
  const [next, effects] = begin({ ...state, version, backoff: noBackoff }, "list");
  return [next, [{ type: "cut" }, { type: "discard" }, ...effects]];
}

function handleListed(state: ReflectorState, resourceVersion: string, context: TransitionContext): Transition {
  if (isOlder(resourceVersion, state.resourceVersion) && state.staleLists + 1 < believedStaleLists) {
    const [waiting, effects] = wait({ ...state, staleLists: state.staleLists + 1 }, "list", { ...context });
    return [waiting, [{ type: "cut" }, { type: "discard" }, ...effects]];
  }
  const synced: ReflectorState = {
    ...state,
    resourceVersion,
    isSynced: true,
    fault: "none",
    relists: state.relists + (state.isSynced ? 1 : 0),
    isPagedOnce: false,
    isWholeOnce: false,
    staleLists: 0,
    isDoubted: false,
    garbledWatches: 0,
    isAfterBreak: false,
  };
  if (state.phase === "streaming") {
    return [{ ...synced, phase: "watching", openedAtMs: context.nowMs }, [{ type: "commit" }]];
  }
  const [next, effects] = begin(synced, "watch");
  return [next, [{ type: "commit" }, ...effects]];
}

function handleOpened(state: ReflectorState, { nowMs }: TransitionContext): Transition {
  const opened = { ...state, openedAtMs: nowMs };
  if (state.phase !== "watching") return [opened, []];
  const probe: Effect = { type: "probe", isAfterBreak: true };
  return [{ ...opened, fault: "none", isAfterBreak: false }, state.isAfterBreak ? [probe] : []];
}

function handleTold(state: ReflectorState, event: ToldEvent): Transition {
  const hasEvents = state.hasEvents || !event.isBookmark;
  if (state.phase !== "watching") return [{ ...state, hasEvents }, []];
  // Told out of order, or by a server whose data went back: ours stays, and the server is asked.
  if (isOlder(event.resourceVersion, state.resourceVersion)) {
    const isDoubted = state.isDoubted || event.isNewObject === true;
    return [{ ...state, hasEvents, isDoubted }, [{ type: "probe", isAfterBreak: true }]];
  }
  return [{ ...state, hasEvents, resourceVersion: event.resourceVersion, garbledWatches: 0 }, []];
}

function handleEnded(state: ReflectorState, context: TransitionContext): Transition {
  const livedMs = context.nowMs - (state.openedAtMs ?? context.nowMs);
  if (state.phase === "streaming") return handleFailure(state, shortList, context);
  if (!state.hasEvents && livedMs < context.limits.shortWatchMs) return handleFailure(state, shortWatch, context);
  return begin(state, "watch");
}

const shortWatch: Failure = { type: "refused", text: "the server ended the watch at once", retryAfterMs: undefined };
const shortList: Failure = {
  type: "ahead",
  text: "the server ended a streamed list too soon",
  retryAfterMs: undefined,
};

function handleFailure(state: ReflectorState, failure: Failure, context: TransitionContext): Transition {
  const isProven = state.phase === "watching" && context.nowMs - (state.openedAtMs ?? context.nowMs) >= provenMs;
  const failed: ReflectorState = {
    ...state,
    failures: state.failures + 1,
    lastFailure: failure,
    ...(isProven ? { unreachedBackoff: noBackoff, backoff: noBackoff } : {}),
    // A server (or what stands before it) that fails to stream a list may still serve it in pages.
    isPagedOnce: state.isPagedOnce || state.phase === "streaming",
    openedAtMs: undefined,
  };
  const [next, effects] = decide(failed, failure, context);
  const isReading = state.phase === "listing" || state.phase === "streaming";
  return [next, isReading ? [{ type: "discard" }, ...effects] : effects];
}

function decide(state: ReflectorState, failure: Failure, context: TransitionContext): Transition {
  const retryWatch: Step = state.phase === "watching" ? "watch" : "list";
  const again: Step = state.phase === "finding" ? "find" : retryWatch;
  switch (failure.type) {
    case "unsupported":
      if (state.phase === "streaming") return begin({ ...state, canStream: false, isPagedOnce: false }, "list");
      return wait({ ...state, fault: "broken" }, again, context);
    case "ahead":
      return wait(state, again, context);
    case "expired":
      return wait({ ...state, isWholeOnce: state.phase === "listing" }, "list", context);
    case "garbled": {
      const garbledWatches = state.garbledWatches + 1;
      const step = garbledWatches >= maxGarbledWatches ? "list" : again;
      return wait({ ...state, garbledWatches: garbledWatches % maxGarbledWatches, fault: "broken" }, step, context);
    }
    case "forbidden":
      return wait({ ...state, fault: "forbidden" }, again, context);
    case "missing":
      // What is served now may be another kind with the same name: its objects are read from the start.
      return wait({ ...state, fault: "missing" }, "find", context);
    case "unreached":
    case "refused":
      return wait({ ...state, fault: "broken", isAfterBreak: true }, again, context);
  }
}

function wait(state: ReflectorState, next: Step, { nowMs, random, limits }: TransitionContext): Transition {
  const failure = state.lastFailure;
  const isUnreached = failure?.type === "unreached";
  const attempt = { nowMs, random, isUnreached, retryAfterMs: failure?.retryAfterMs };
  const before = isUnreached ? state.unreachedBackoff : state.backoff;
  const [counted, delayMs] = nextBackoff(before, attempt, limits.backoff);
  const counts = isUnreached ? { unreachedBackoff: counted } : { backoff: counted };
  return [{ ...state, phase: "waiting", next, ...counts }, [{ type: "wait", delayMs }]];
}

const probeFailures = {
  fine: "events came in the wrong order, about objects that may be gone",
  deaf: "the watch does not tell what happens",
  older: "the server's data are older than ours",
};

function handleProbed(
  state: ReflectorState,
  result: "fine" | "deaf" | "older",
  context: TransitionContext,
): Transition {
  if (state.phase !== "watching" || (result === "fine" && !state.isDoubted)) return [state, []];
  const failure: Failure = {
    type: result === "deaf" ? "refused" : "expired",
    text: probeFailures[result],
    retryAfterMs: undefined,
  };
  // Data that went back are the truth now: nothing is compared with what we had.
  const known = result === "older" ? { ...state, resourceVersion: "" } : state;
  const [next, effects] = handleFailure(known, failure, context);
  return [next, [{ type: "cut" }, ...effects]];
}

/** What a server told while it started up ("wait", "forbidden") counts no more once it is ready. */
function handleReachable(state: ReflectorState, isReady: boolean, { random, limits }: TransitionContext): Transition {
  const isWoken = state.phase === "waiting" && (isReady || state.lastFailure?.type === "unreached");
  if (!isWoken) return [state, []];
  return [state, [{ type: "cut" }, { type: "wait", delayMs: Math.round(random * limits.backoff.firstMs) }]];
}
