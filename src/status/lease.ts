/**
 * Who leads, as a Lease says it (coordination.k8s.io/v1; the rules of client-go's leader election). Pure: what is known
 * goes in with the time of a clock that never goes back, what to do next comes out. Times that others wrote are only
 * compared for equality: a lease is alive for as long as we have seen it change, however wrong anybody's clock is.
 */

export interface LeaseLimits {
  /** So long others leave a lease alone that does not change, in milliseconds. */
  readonly leaseMs: number;
  /** A leader that could not renew for so long no longer leads; less than leaseMs. */
  readonly renewDeadlineMs: number;
  /** Time between two looks or renewals; followers wait up to a fifth longer. */
  readonly retryMs: number;
}

/** What client-go's controllers use. */
export const defaultLeaseLimits: LeaseLimits = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 };

/** A Lease as it was read or written. */
export interface LeaseRecord {
  /** "" where it was given back. */
  readonly holder: string;
  readonly durationMs: number;
  readonly acquireTime: string;
  readonly renewTime: string;
  readonly transitions: number;
  readonly resourceVersion: string;
}

export interface ElectionState {
  /** Undefined before the first look, and while there is no Lease. */
  readonly record: LeaseRecord | undefined;
  /** When the record was last seen to change. */
  readonly changedAt: number;
  /** When the last renewal that succeeded was begun; undefined while not leading. */
  readonly renewedAt: number | undefined;
}

export const initialState: ElectionState = { record: undefined, changedAt: 0, renewedAt: undefined };

export type Step =
  | { readonly kind: "create" }
  | { readonly kind: "take"; readonly over: LeaseRecord }
  | { readonly kind: "renew"; readonly over: LeaseRecord }
  | { readonly kind: "wait" };

/** The state after a look at the Lease; undefined where there is none. */
export function observeLease(state: ElectionState, record: LeaseRecord | undefined, now: number): ElectionState {
  const isSame = record !== undefined && state.record !== undefined && isSameHold(state.record, record);
  return { ...state, record, changedAt: isSame ? state.changedAt : now };
}

/** The state after the Lease was written with our name; `begunAt` is when the request was begun. */
export function noteWritten(state: ElectionState, record: LeaseRecord, times: { begunAt: number; now: number }) {
  return { ...state, record, changedAt: times.now, renewedAt: times.begunAt } satisfies ElectionState;
}

/** The state of one who does not lead, or no longer. */
export function noteLost(state: ElectionState): ElectionState {
  return { ...state, renewedAt: undefined };
}

/** What is to be done with the Lease as it was last seen. */
export function planStep(state: ElectionState, identity: string, now: number): Step {
  const { record } = state;
  if (record === undefined) return { kind: "create" };
  if (record.holder === identity) return { kind: "renew", over: record };
  return record.holder === "" || now >= expiryOf(state, record) ? { kind: "take", over: record } : { kind: "wait" };
}

/**
 * True while the last renewal is so recent that nobody else can have taken the Lease: others wait leaseMs from when they
 * saw it, which cannot be before it was begun, and we count the shorter renewDeadlineMs from there.
 */
export function isHolding({ renewedAt }: ElectionState, limits: LeaseLimits, now: number): boolean {
  return renewedAt !== undefined && now - renewedAt < limits.renewDeadlineMs;
}

/** Milliseconds until the next look; `random` is from 0 to 1, so that followers do not all come at once. */
export function nextLookMs(
  state: ElectionState,
  limits: LeaseLimits,
  { now, random }: { now: number; random: number },
) {
  if (state.renewedAt !== undefined) return limits.retryMs;
  const usualMs = limits.retryMs * (1 + random / 5);
  const { record } = state;
  if (record === undefined || record.holder === "") return usualMs;
  const leftMs = expiryOf(state, record) - now;
  // The end of a lease is looked at when it comes, not up to a period later.
  return leftMs > 0 ? Math.min(usualMs, leftMs) : usualMs;
}

function expiryOf(state: ElectionState, record: LeaseRecord): number {
  return state.changedAt + record.durationMs;
}

function isSameHold(a: LeaseRecord, b: LeaseRecord): boolean {
  return (
    a.holder === b.holder &&
    a.renewTime === b.renewTime &&
    a.acquireTime === b.acquireTime &&
    a.transitions === b.transitions
  );
}
