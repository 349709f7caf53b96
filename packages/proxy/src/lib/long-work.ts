/**
 * To be told of what goes on for many turns: a long answer of a control plane that is taken over, or connections that come
 * or go in crowds. A process may collect its garbage in smaller portions meanwhile.
 */
export interface LongWork {
  begin(): void;
  /** As often as `begin`. */
  end(): void;
}
