/** To be told of work that goes on for many turns: a process may collect its garbage in smaller portions meanwhile. */
export interface LongWork {
  begin(): void;
  /** As often as `begin`. */
  end(): void;
}
