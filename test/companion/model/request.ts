/** A request as a client is about to send it. */
export interface ModelRequest {
  readonly id: number;
  readonly slot: string;
  /** The name asked for by TLS. */
  readonly sni: string | undefined;
  readonly protocol: "http1" | "http2";
  /** On a connection of its own, which ends with it. */
  readonly isAlone: boolean;
  readonly method: "GET" | "POST" | "DELETE";
  readonly host: string;
  /** With its query. */
  readonly path: string;
  /** Those that routes look at, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes that are sent with it. */
  readonly bodySize: number;
  readonly ask: Ask;
}

/**
 * What is asked of the upstream. "answer": to read all, then answer. "stall": to begin no answer before somebody gives up.
 * "echo": to send back piece by piece what comes. "cancel": to answer late, the client will not wait. "upgrade": a
 * connection with frames of its own, as WebSocket.
 */
export type Ask = "answer" | "stall" | "echo" | "cancel" | "upgrade";

/** Headers of requests that routes look at and change. */
export const requestHeaders = ["x-a", "x-b", "x-c", "x-m-1", "x-m-2"] as const;
/** Headers of answers that routes change; upstreams send the first two. */
export const responseHeaders = ["x-r-1", "x-r-2", "x-r-3", "x-r-4"] as const;
export const upstreamResponseHeaders: Readonly<Record<string, string>> = { "x-r-1": "up", "x-r-2": "stream" };
