/** Spans of traces. */
export interface Span {
  readonly traceId: string;
  /** Headers for the upstream (traceparent, b3, x-b3-*), written into the request by the connection manager's call. */
  setTag(name: string, value: string): void;
  setOperation(name: string): void;
  /** A span below this one, for an attempt at an upstream. */
  spawn(operation: string): Span;
  finish(): void;
}
