/** What bounds the server's work and memory. Times in milliseconds, sizes in bytes. */
export interface XdsLimits {
  /** PILOT_DEBOUNCE_AFTER */
  readonly debounceQuietMs: number;
  /** PILOT_DEBOUNCE_MAX */
  readonly debounceMaxMs: number;
  /** Streams written to at once (PILOT_PUSH_THROTTLE). */
  readonly maxWriting: number;
  /** A write that is not read for so long no longer holds its place in the line: until then others may have to wait for it. */
  readonly stallMs: number;
  /** A write that is not read for so long ends the stream (PILOT_XDS_SEND_TIMEOUT); may be infinite. */
  readonly sendTimeoutMs: number;
  /** Bytes that may lie unread without holding places in the line. */
  readonly maxStalledBytes: number;
  /** Work after which the event loop gets its turn. */
  readonly turnMs: number;
  /** How long a newer response waits for the client's answer to the last one. */
  readonly answerMs: number;
  /** How long listeners and routes wait for the clients to warm the new clusters that they lead to. */
  readonly warmingMs: number;
  /** How long resources outlive their last proxy. */
  readonly scopeLingerMs: number;
  /** PILOT_MAX_REQUESTS_PER_SECOND: so many at once, and so many each second. */
  readonly maxNewStreamsPerSecond: number;
  /** A new stream waits at most so long for its turn before it is refused. */
  readonly admissionWaitMs: number;
  /** Streams get so long to end when the server stops. */
  readonly drainMs: number;
}

/**
 * Limits for a machine with so many processors. Writing to many at once is bounded as in istiod (rows X30, X31). New
 * streams cost far less here than there, so many more of them may come in each second: a storm of reconnects is held
 * back by the line of those that are written to, not at the door.
 */
export function defaultLimits(processors: number): XdsLimits {
  return {
    debounceQuietMs: 100,
    debounceMaxMs: 10_000,
    maxWriting: Math.min(15 + 5 * processors, 100),
    stallMs: 50,
    sendTimeoutMs: 30_000,
    maxStalledBytes: 256 * 1024 * 1024,
    turnMs: 10,
    answerMs: 1000,
    warmingMs: 5000,
    scopeLingerMs: 10_000,
    maxNewStreamsPerSecond: 500 * processors,
    admissionWaitMs: 1000,
    drainMs: 10_000,
  };
}
