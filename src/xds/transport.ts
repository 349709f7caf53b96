/** The border between the protocol and what carries it. */

import type { Caller, PeerCredentials } from "../lib/caller.ts";

/** gRPC status codes by name, as far as they are used. */
export type StatusName =
  | "OK"
  | "INVALID_ARGUMENT"
  | "UNAUTHENTICATED"
  | "PERMISSION_DENIED"
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
  /** Who has proven to be at the other end; undefined in plain text, and where nobody asks. */
  readonly caller: Caller | undefined;
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
  /** Tells who calls over TLS; undefined where nobody asks. Streams in plain text are not asked. Never rejects. */
  authenticate(credentials: PeerCredentials, peer: string): Promise<Caller | Status | undefined>;
  accept(port: StreamPort, variant: Variant): StreamHandler;
  /** For the health service. */
  isServing(): boolean;
}

/** A method with one request and one response that is served beside the streams, over TLS alone. */
export interface UnaryMethod {
  /** "/package.Service/Method" */
  readonly path: string;
  /** Answers an encoded request with an encoded response, or says why not. Never rejects but for a fault of ours. */
  handle(request: Uint8Array, call: UnaryCall): Promise<Uint8Array | Status>;
}

export interface UnaryCall {
  readonly credentials: PeerCredentials;
  /** Remote address with port. */
  readonly peer: string;
  /** Aborted when the client no longer waits. */
  readonly signal: AbortSignal;
}

/** Certificates and key of a server, PEM. */
export interface TlsMaterial {
  /** The certificate and what stands between it and the root, the certificate first. */
  readonly chain: string;
  readonly privateKey: { reveal(): string };
  /** Whose certificates of clients count. */
  readonly clientRoots: string;
  /** Which of them are revoked (X509 CRL, one each). Where there are any, every authority on the way needs one that holds now. */
  readonly clientCrls?: readonly string[];
}

/** What a transport serves TLS with; it may change while it serves. */
export interface TlsSource {
  current(): TlsMaterial;
  /** Calls `run` after each change of current(); the answer ends that. */
  onChange(run: () => void): () => void;
}

export interface Transport {
  /** Listens on "host:port" and gives the address with the port that was taken (port 0 takes a free one). */
  listen(address: string): Promise<string>;
  /** Tells health watchers about a change of `isServing`. */
  notifyServing(): void;
  /** Refuses what is new, says so to clients, and waits for streams to end, for at most `graceMs` milliseconds. */
  stop(graceMs: number): Promise<void>;
}
