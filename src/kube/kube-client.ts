/** What Meltemi asks of an API server: requests with JSON and streams of bytes. `create-kube-client.ts` makes the real one. */

export type KubePatchType =
  | "application/json-patch+json"
  | "application/merge-patch+json"
  | "application/strategic-merge-patch+json"
  | "application/apply-patch+yaml";

export interface KubeRequest {
  /** GET where not given. */
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path below the server's address, without query, such as "/api/v1/services". */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Type of the body; "application/json" where not given. */
  readonly contentType?: "application/json" | KubePatchType;
  /** Wanted form of the answer; "application/json" where not given. */
  readonly accept?: string;
  /** Most milliseconds until the whole answer is there (for streams: until its head is); 30 s where not given. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** An answer that is read as it comes. Iterating ends where the server ends it and throws where the connection breaks. */
export interface KubeStream {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Cuts the connection; the iteration ends. */
  close(): void;
}

/**
 * A connection to one API server with one identity. Credentials from files are read again when the server says 401, and
 * that request is tried once more. Never logs or throws a credential.
 */
export interface KubeClient {
  /** The server's address, for messages. */
  readonly server: string;
  /** Parsed body of the answer. Rejects with KubeApiError where the server refuses, KubeConnectionError where it is not reached. */
  request(request: KubeRequest): Promise<unknown>;
  stream(request: KubeRequest): Promise<KubeStream>;
  /** Ends all connections. */
  close(): void;
}

/** The API server answered with an error (a `Status` object). */
export class KubeApiError extends Error {
  /** HTTP status, such as 410. */
  readonly status: number;
  /** Word for the case, such as "Expired", "Forbidden", "NotFound", "Conflict"; "" where the answer had none. */
  readonly reason: string;
  /** From the header Retry-After or the Status object; undefined where the server did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(
    status: number,
    message: string,
    details: { readonly reason?: string; readonly retryAfterMs?: number } = {},
  ) {
    super(message);
    this.name = "KubeApiError";
    this.status = status;
    this.reason = details.reason ?? "";
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** The API server was not reached, or the connection broke. */
export class KubeConnectionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "KubeConnectionError";
  }
}
