/**
 * What a stream knows about what the client has of one type. A client that refuses a response keeps what it had, so the
 * next difference starts from there; a client that has not answered yet is taken to get what was sent, because a stream
 * keeps its order.
 */
import { diffSets, emptySet, type ResourceSet, restrictSet } from "../push/resource-set.ts";

export type Delivery =
  /** Nothing was sent on this stream; `held` is what the client says it brought along (delta). */
  | { readonly kind: "none"; readonly held: ResourceSet }
  | {
      readonly kind: "waiting";
      /** What the client has for certain. */
      readonly base: ResourceSet;
      readonly target: ResourceSet;
      /** Everything sent since `base`, the oldest first: the client may have any of it. The last is `target`. */
      readonly attempts: readonly ResourceSet[];
      /** Nonces without an answer, the newest last; never empty. */
      readonly outstanding: readonly string[];
      /** One of the outstanding responses was refused. */
      readonly isSpoiled: boolean;
      /** The answer is late: a newer response need not wait for it. */
      readonly isOverdue: boolean;
    }
  | { readonly kind: "accepted"; readonly held: ResourceSet; readonly nonce: string }
  | {
      readonly kind: "rejected";
      readonly base: ResourceSet;
      readonly refused: ResourceSet;
      /** As above; a client that refused one of several responses took the others. */
      readonly attempts: readonly ResourceSet[];
      readonly nonce: string;
    };

export const nothingSent: Delivery = { kind: "none", held: emptySet() };

/** Clients that never answer must not make the list of nonces grow. */
const maxOutstanding = 16;

/** The set from which the next difference is taken. */
export function basisOf(delivery: Delivery): ResourceSet {
  if (delivery.kind === "waiting") return delivery.target;
  return delivery.kind === "rejected" ? delivery.base : delivery.held;
}

/** Nonce of the newest response; "" where nothing was sent. */
export function nonceOf(delivery: Delivery): string {
  if (delivery.kind === "none") return "";
  return delivery.kind === "waiting" ? (delivery.outstanding.at(-1) ?? "") : delivery.nonce;
}

/** A response went out that makes the client's set `target`. */
export function deliverSet(delivery: Delivery, target: ResourceSet, nonce: string): Delivery {
  const common = { kind: "waiting", target, isOverdue: false } as const;
  if (delivery.kind === "waiting") {
    const outstanding = [...delivery.outstanding, nonce].slice(-maxOutstanding);
    const attempts = [...delivery.attempts, target].slice(-maxOutstanding);
    return { ...common, base: delivery.base, attempts, outstanding, isSpoiled: delivery.isSpoiled };
  }
  const earlier = delivery.kind === "rejected" ? delivery.attempts : [];
  const attempts = [...earlier, target].slice(-maxOutstanding);
  return { ...common, base: basisOf(delivery), attempts, outstanding: [nonce], isSpoiled: false };
}

/** The client answered `nonce`, which must be outstanding; other nonces change nothing. */
export function settleNonce(delivery: Delivery, nonce: string, isRefused: boolean): Delivery {
  if (delivery.kind !== "waiting" || !delivery.outstanding.includes(nonce)) return delivery;
  const isSpoiled = delivery.isSpoiled || isRefused;
  const outstanding = delivery.outstanding.filter((known) => known !== nonce);
  const { base, target: refused, attempts } = delivery;
  if (outstanding.length === 0) {
    return isSpoiled
      ? { kind: "rejected", base, refused, attempts, nonce }
      : { kind: "accepted", held: delivery.target, nonce };
  }
  const [oldest, ...later] = attempts;
  const isOldest = nonce === delivery.outstanding[0] && attempts.length === delivery.outstanding.length;
  if (isSpoiled || !isOldest || oldest === undefined) return { ...delivery, outstanding, isSpoiled };
  return { ...delivery, base: oldest, attempts: later, outstanding };
}

/** Names that lead to `target` from everything that the client of a refused response may have. */
export function diffAttempts(
  { attempts }: Extract<Delivery, { kind: "rejected" }>,
  target: ResourceSet,
): { readonly changed: readonly string[]; readonly removed: readonly string[] } {
  const differences = attempts.map((attempt) => diffSets(attempt, target));
  return {
    changed: joinNames(differences.map(({ changed }) => changed)),
    removed: joinNames(differences.map(({ removed }) => removed)),
  };
}

/** All names, each once; the same list where only one has any. */
export function joinNames(lists: readonly (readonly string[])[]): readonly string[] {
  const filled = lists.filter((list) => list.length > 0);
  const [only] = filled;
  if (only === undefined) return [];
  return filled.length === 1 ? only : [...new Set(filled.flat())];
}

/** The client forgets resources that it no longer asks for, so that asking again sends them again. */
export function forgetUnwanted(delivery: Delivery, isWanted: (name: string) => boolean): Delivery {
  const restrict = (set: ResourceSet): ResourceSet => restrictSet(set, isWanted);
  switch (delivery.kind) {
    case "none":
    case "accepted":
      return { ...delivery, held: restrict(delivery.held) };
    case "waiting":
      return {
        ...delivery,
        base: restrict(delivery.base),
        target: restrict(delivery.target),
        attempts: delivery.attempts.map(restrict),
      };
    case "rejected":
      return {
        ...delivery,
        base: restrict(delivery.base),
        refused: restrict(delivery.refused),
        attempts: delivery.attempts.map(restrict),
      };
  }
}
