/** Spans of traces. */
import type { LogEntry } from "../access-log/types.ts";
import type { Exchange } from "../http/exchange.ts";
import type { HttpRequest } from "../http/message.ts";

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** Each attempt at an upstream gets a span of its own, whatever the router's configuration says. */
  readonly spawnsUpstream: boolean;
  setTag(name: string, value: string): void;
  setOperation(name: string): void;
  /** Writes the headers of the trace (traceparent, b3, x-b3-*) into a request that goes upstream. */
  inject(request: HttpRequest): void;
  /** A span below this one, for an attempt at an upstream. */
  spawn(operation: string): Span;
  /** Ends the span now; once. */
  finish(): void;
}

/** Tracing of one connection manager. */
export interface Tracer {
  /**
   * Decides whether a request is traced, writes that into its x-request-id and the headers of the trace into the request,
   * and begins its span. Undefined where nothing is reported (headers of a trace that is not sampled are passed on all the
   * same). To be called once, after the request id is there and before the filters.
   */
  start(exchange: Exchange): Span | undefined;
  /** Adds the tags of the connection manager and of what became of the request, and ends the span. */
  finish(span: Span, entry: LogEntry): void;
  /** Sends what waits and ends its timers: the listener goes. */
  close(): void;
}
