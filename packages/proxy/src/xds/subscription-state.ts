/** What the reducers of both forms of xDS have in common. */

/** "*" for the whole set; names otherwise, sorted. */
export type Wanted = "*" | readonly string[];

/** google.rpc.Status of a refusal. */
export interface ErrorDetail {
  readonly code: number;
  readonly message: string;
}

/** What happens to the subscription of one type on one stream. */
export type SubscriptionEvent =
  | { readonly kind: "connected" }
  | { readonly kind: "disconnected" }
  | { readonly kind: "want"; readonly wanted: Wanted }
  /** A response came, and is now tried. Nothing is sent for this type until it is settled. */
  | { readonly kind: "response"; readonly nonce: string }
  | Settled;

/** The response that came last has been tried. */
export interface Settled {
  readonly kind: "settled";
  /** Version of the response (state of the world). */
  readonly version: string;
  /** Versions of the resources that were taken (delta). */
  readonly accepted: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
  readonly error: ErrorDetail | undefined;
}

/** INTERNAL, which is what Envoy gives every refusal. */
const refusalCode = 13;
/** Servers may drop a stream over a status that does not fit into headers. */
const longestMessage = 4096;

export interface Rejection {
  /** "Listener inbound", or "resource 3" where the name is not known. */
  readonly resource: string;
  readonly reason: string;
}

/** One text for all that was refused; undefined where nothing was. */
export function describeRejections(rejections: readonly Rejection[]): ErrorDetail | undefined {
  if (rejections.length === 0) return undefined;
  let message = "";
  for (const { resource, reason } of rejections) {
    message += `${message === "" ? "" : "\n"}${resource}: ${reason}`;
    if (message.length > longestMessage) break;
  }
  return {
    code: refusalCode,
    message: message.length > longestMessage ? `${message.slice(0, longestMessage - 1)}…` : message,
  };
}
