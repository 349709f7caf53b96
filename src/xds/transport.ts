/** The border between the protocol and what carries it. */

/** gRPC status codes by name, as far as they are used. */
export type StatusName =
  | "OK"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "RESOURCE_EXHAUSTED"
  | "INTERNAL"
  | "UNAVAILABLE";

export interface Status {
  readonly code: StatusName;
  readonly details: string;
}

/** State of the world or incremental: each has its own method of the service. */
export type Variant = "sotw" | "delta";

/** The sending side of a stream. */
export interface StreamPort {
  /** Remote address with port. */
  readonly peer: string;
  /** Sends one message that is already encoded; calls back when the client's window has taken all of it. */
  write(bytes: Uint8Array, onWritten: () => void): void;
  /** Ends the stream; what was written before still goes out, unless the client does not read. */
  end(status: Status): void;
}

/** The receiving side of a stream; after `handleClosed` nothing more comes. */
export interface StreamHandler {
  /** One encoded request. */
  handleMessage(bytes: Uint8Array): void;
  /** The client sends no more. */
  handleEnd(): void;
  handleClosed(): void;
}

/** Whether a new stream may come in: now, after so many milliseconds, or not at all. */
export type Admission =
  | { readonly kind: "now" }
  | { readonly kind: "wait"; readonly waitMs: number }
  | { readonly kind: "refuse"; readonly status: Status };

/** What a transport is given to serve. */
export interface StreamService {
  admit(): Admission;
  accept(port: StreamPort, variant: Variant): StreamHandler;
  /** For the health service. */
  isServing(): boolean;
}

export interface Transport {
  /** Listens on "host:port" and gives the address with the port that was taken (port 0 takes a free one). */
  listen(address: string): Promise<string>;
  /** Tells health watchers about a change of `isServing`. */
  notifyServing(): void;
  /** Refuses what is new, says so to clients, and waits for streams to end, for at most `graceMs` milliseconds. */
  stop(graceMs: number): Promise<void>;
}
