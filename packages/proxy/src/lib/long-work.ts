/**
 * What goes on for many turns, by what it makes: "lasting" a long answer of a control plane that is taken over, or connections
 * that come in crowds; "passing" connections that go in crowds, whether or not others come.
 */
export type LongWorkKind = "lasting" | "passing";

/** To be told of such work: a process may collect its garbage in smaller portions meanwhile. */
export interface LongWork {
  begin(kind: LongWorkKind): void;
  /** As often as `begin`. */
  end(kind: LongWorkKind): void;
}
