/** What goes on for many turns: a long answer of a control plane that is taken over, or connections that come or go in crowds. */
export type LongWorkKind = "configuration" | "connections";

/** To be told of such work: a process may collect its garbage in smaller portions meanwhile. */
export interface LongWork {
  begin(kind: LongWorkKind): void;
  /** As often as `begin`. */
  end(kind: LongWorkKind): void;
}
