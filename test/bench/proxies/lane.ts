/** Who is asked, and for what. */
export interface Work {
  readonly protocol: "http1" | "http2" | "tcp";
  /** Of HTTP. */
  readonly path: string;
  /** Bytes of a body (or piece) that is sent, and of the one that has to come back. */
  readonly sentBytes: number;
  readonly answerBytes: number;
  /** In PEM; over TLS where given. */
  readonly roots?: string;
  /** Whether every exchange takes a connection of its own. */
  readonly isFresh?: boolean;
}

export interface LaneOptions {
  readonly work: Work;
  /** On the loopback address. */
  readonly port: number;
  /** Told of every exchange when its answer is whole, with the time at which it began. */
  onExchange(startedAt: number): void;
  /** Told where an answer is wrong or does not come. */
  onFailure(cause: unknown): void;
}

/** A connection on which one exchange follows the other. */
export interface Lane {
  close(): void;
}
