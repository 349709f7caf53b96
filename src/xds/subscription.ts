/**
 * What a stream asks for of one type: xds_protocol, "how the client specifies what resources to return". "*" asks for
 * everything; so does, for listeners and clusters, never having named anything. Once something was named that older
 * meaning is gone for the stream, and an empty list means that nothing is wanted any more.
 */
import { addNames, internList, internNames, type NameSet, noNames, removeNames, setOfList } from "../push/name-set.ts";

export const wildcard = "*";

export type Subscription =
  /** Nothing was named yet, and the type gives everything to who names nothing. */
  | { readonly kind: "legacyWildcard" }
  | { readonly kind: "explicit"; readonly isWildcard: boolean; readonly names: NameSet };

export const unsubscribed: Subscription = { kind: "explicit", isWildcard: false, names: noNames };

/** The subscription that a list of names states as a whole (state of the world). */
export function replaceSubscription(
  before: Subscription | undefined,
  names: readonly string[],
  hasLegacyWildcard: boolean,
): Subscription {
  const isUnnamed = before === undefined || before.kind === "legacyWildcard";
  if (names.length === 0 && isUnnamed && hasLegacyWildcard) return { kind: "legacyWildcard" };
  if (before?.kind === "explicit" && isSameList(before, names)) return before;
  const isWildcard = names.includes(wildcard);
  const listed = isWildcard ? internNames(names.filter((name) => name !== wildcard)) : internList(names);
  return { kind: "explicit", isWildcard, names: listed };
}

/** What one delta request changes. */
export interface SubscriptionChange {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
}

/**
 * The subscription after a delta request. Where a name stands in both lists of one request it ends unsubscribed, so that
 * "*" in both lists of the first request subscribes to nothing, as clients with resources on demand ask for it.
 */
export function changeSubscription(
  before: Subscription | undefined,
  { subscribe, unsubscribe }: SubscriptionChange,
  hasLegacyWildcard: boolean,
): Subscription {
  const isUnnamed = before === undefined || before.kind === "legacyWildcard";
  if (isUnnamed && subscribe.length === 0 && !unsubscribe.includes(wildcard)) {
    return hasLegacyWildcard ? { kind: "legacyWildcard" } : (before ?? unsubscribed);
  }
  // Naming something continues a wildcard that was never named (xds_protocol: the incremental example of it).
  const base = before ?? unsubscribed;
  const wasWildcard = base.kind === "legacyWildcard" || base.isWildcard;
  const isWildcard = (wasWildcard || subscribe.includes(wildcard)) && !unsubscribe.includes(wildcard);
  const named = subscribe.filter((name) => name !== wildcard);
  const names = removeNames(addNames(base.kind === "explicit" ? base.names : noNames, named), unsubscribe);
  if (base.kind === "explicit" && base.isWildcard === isWildcard && base.names === names) return base;
  return { kind: "explicit", isWildcard, names };
}

export function isWildcard(subscription: Subscription): boolean {
  return subscription.kind === "legacyWildcard" || subscription.isWildcard;
}

/** Names asked for one by one; empty where there are none. */
export function namesOf(subscription: Subscription): NameSet {
  return subscription.kind === "explicit" ? subscription.names : noNames;
}

/** True where nothing is asked for. */
export function isUnsubscribed(subscription: Subscription): boolean {
  return !isWildcard(subscription) && namesOf(subscription).names.size === 0;
}

/** True where the subscription covers the name. */
export function covers(subscription: Subscription, name: string): boolean {
  return isWildcard(subscription) || namesOf(subscription).names.has(name);
}

/** Without building anything: an acknowledgement repeats the list, and with a thousand names that is the hot path. */
function isSameList(before: Extract<Subscription, { kind: "explicit" }>, names: readonly string[]): boolean {
  if (!before.isWildcard && setOfList(names) === before.names) return true;
  const expected = before.names.names.size + (before.isWildcard ? 1 : 0);
  if (names.length !== expected) return false;
  const seen = new Set(names);
  if (seen.size !== expected) return false;
  return names.every((name) => (name === wildcard ? before.isWildcard : before.names.names.has(name)));
}
