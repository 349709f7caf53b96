/** What a session is made of, and what it tells. */
import type { Duplex } from "node:stream";
import type { ConnectionError } from "./error-codes.ts";
import type { FloodLimits } from "./flood-guard.ts";
import type { BlockLimits, HeaderBlock } from "./header-blocks.ts";
import type { SessionStream } from "./session-stream.ts";
import type { OwnSettings, PeerSettings } from "./settings.ts";

export interface SessionOptions extends BlockLimits, FloodLimits {
  /** Which end this is: a client opens streams, a server takes them. */
  readonly role: "client" | "server";
  readonly settings: OwnSettings;
  /** Bytes that the peer may send on all streams before they are consumed; at least 65,535. */
  readonly connectionWindow: number;
  /** Bytes that are written at once, of which a single stream may have half: by default 256 KiB, for fairness. */
  readonly batchBytes?: number;
  /** Content is handed on as it lies in what was fed, frame by frame, and is there during the call alone. */
  readonly handsOnPieces?: boolean;
}

/** What a session tells its owner. */
export interface SessionEvents {
  /** The peer has opened a stream; its handler is to be set. A client's never does. Throws ConnectionError. */
  onStream?(stream: SessionStream, block: HeaderBlock): void;
  /** A stream beyond SETTINGS_MAX_CONCURRENT_STREAMS was refused. */
  onStreamRefused?(): void;
  /** A stream that was opened is over. */
  onClosed(): void;
  /** The connection cannot go on: GOAWAY is written, the streams are gone; the owner has to close it. */
  onFailure(error: ConnectionError): void;
  /** The peer takes no more streams; those of a client that it has not taken are reset with REFUSED_STREAM after this. */
  onGoaway(): void;
  /** The peer has said what it wants. */
  onSettings?(settings: PeerSettings): void;
  onPingAnswer(): void;
  /** RST_STREAM came, or was sent. */
  onResetFrame(direction: "rx_reset" | "tx_reset"): void;
}

/** Time, as far as a session needs it. */
export interface SessionClock {
  /** Milliseconds on a clock that never goes back. */
  monotonic(): number;
}

export interface SessionParts {
  readonly stream: Duplex;
  readonly options: SessionOptions;
  readonly events: SessionEvents;
  readonly clock: SessionClock;
}
