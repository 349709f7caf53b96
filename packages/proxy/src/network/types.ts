/** Network filters: what happens to a connection after TLS. */
import type { NetworkFilterEnv } from "../config/env.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";

/**
 * A filter of one chain, for all of its connections. In Envoy's terms one with `serve` is terminal: it takes the
 * connection over, and must be the last.
 */
export interface NetworkFilter {
  /** Resolves when what it waits for is there, such as a route table: before that the listener is warming. Never rejects. */
  readonly ready?: Promise<void>;
  /**
   * The connection is there, and no filter has been asked yet. In Envoy all filters of a chain are created with the
   * connection, so one behind another counts and logs connections that the other refuses.
   */
  open?(connection: DownstreamConnection): void;
  /**
   * Before the next filter: false where the filter has closed the connection (or answered and will). Filters are asked in
   * order; bytes wait until all have said yes.
   */
  admit?(connection: DownstreamConnection): boolean | Promise<boolean>;
  /** Sees the bytes of both directions as they pass, such as for statistics of a protocol. */
  observe?(connection: DownstreamConnection): NetworkObserver | undefined;
  /** Takes the connection over. Whoever does so ends it. */
  serve?(connection: DownstreamConnection): void;
  /** The listener drains: connections that do nothing may end. */
  drain?(): void;
  /** The chain is gone, with all of its connections. */
  close?(): void;
}

export interface NetworkObserver {
  /** A promise holds these bytes up until it resolves; it never rejects. */
  fromClient(chunk: Uint8Array): Promise<void> | undefined;
  fromServer(chunk: Uint8Array): void;
  close?(): void;
}

/** A kind of network filter, by the full name of its configuration. */
export interface NetworkFilterFactory<Wire> {
  readonly name: string;
  readonly type: string;
  /** Throws ConfigError. */
  compile(config: Wire, env: NetworkFilterEnv): NetworkFilter;
}
