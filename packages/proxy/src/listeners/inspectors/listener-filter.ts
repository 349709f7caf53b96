import type { AcceptedSocket } from "../accepted-socket.ts";

/**
 * What a listener filter makes of the bytes that came so far. "more": it wants to be asked again when there are more;
 * "done": it has seen enough, and `consumed` bytes are its own; "close": the connection must not go on.
 */
export type Verdict =
  | { readonly kind: "more" }
  | { readonly kind: "done"; readonly consumed: number }
  | { readonly kind: "close"; readonly reason: string };

export const more: Verdict = { kind: "more" };
export const done: Verdict = { kind: "done", consumed: 0 };

/** A filter of a listener: looks at a connection before its filter chain is chosen. */
export interface ListenerFilter {
  readonly name: string;
  /** Asked first, with no bytes: undefined where bytes are needed. */
  accept(accepted: AcceptedSocket): Verdict | undefined;
  /** All bytes so far that no filter has consumed; never none. */
  inspect(bytes: Buffer, accepted: AcceptedSocket): Verdict;
}
