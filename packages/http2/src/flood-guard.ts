/**
 * Frames that cost more than they are worth, counted by Envoy's rules (http2_protocol_options, whose documentation has the
 * formulas). What Envoy leaves to its library, or does not limit, has a budget of its own here.
 */
import { ConnectionError, errorCodes } from "./error-codes.ts";

export interface FloodLimits {
  /** max_outbound_frames */
  readonly outboundFrames: number;
  /** max_outbound_control_frames */
  readonly outboundControlFrames: number;
  /** max_consecutive_inbound_frames_with_empty_payload */
  readonly emptyFrames: number;
  /** max_inbound_priority_frames_per_stream */
  readonly priorityFramesPerStream: number;
  /** max_inbound_window_update_frames_per_data_frame_sent */
  readonly windowUpdatesPerDataFrame: number;
}

/** Envoy's, where nothing is configured. */
export const defaultFloodLimits: FloodLimits = {
  outboundFrames: 10_000,
  outboundControlFrames: 1_000,
  emptyFrames: 1,
  priorityFramesPerStream: 100,
  windowUpdatesPerDataFrame: 10,
};

/** What became too much, by Envoy's names for the statistics of a codec. */
export type Flood =
  | "outbound_flood"
  | "outbound_control_flood"
  | "inbound_empty_frames_flood"
  | "inbound_priority_frames_flood"
  | "inbound_window_update_frames_flood";

export class FloodError extends ConnectionError {
  /** Undefined where Envoy has no name for it. */
  readonly flood: Flood | undefined;

  constructor(message: string, flood?: Flood) {
    super(errorCodes.enhanceYourCalm, message);
    this.flood = flood;
  }
}

/** Frames without use that a peer may send at once, and for each second: those of nghttp2 for "glitches". */
const budget = 1_000;
const perSecond = 33;

export class FloodGuard {
  readonly #limits: FloodLimits;
  #emptyFrames = 0;
  #priorityFrames = 0;
  #windowUpdates = 0;
  #left = budget;
  /** On the monotonic clock. */
  #spentAt = 0;
  /** Streams that were opened so far. */
  openedStreams = 0;

  constructor(limits: FloodLimits) {
    this.#limits = limits;
  }

  /** A frame of HEADERS, CONTINUATION or DATA. Throws FloodError, as all below. */
  addContentFrame(isEmpty: boolean): void {
    if (!isEmpty) {
      this.#emptyFrames = 0;
      return;
    }
    this.#emptyFrames += 1;
    if (this.#emptyFrames > this.#limits.emptyFrames) {
      throw new FloodError("too many consecutive frames with an empty payload", "inbound_empty_frames_flood");
    }
  }

  addPriority(): void {
    this.#priorityFrames += 1;
    if (this.#priorityFrames > this.#limits.priorityFramesPerStream * (1 + this.openedStreams)) {
      throw new FloodError("too many PRIORITY frames", "inbound_priority_frames_flood");
    }
  }

  /** `dataFrames` is the number of DATA frames that were sent. */
  addWindowUpdate(dataFrames: number): void {
    this.#windowUpdates += 1;
    const allowed = 5 + 2 * (this.openedStreams + this.#limits.windowUpdatesPerDataFrame * dataFrames);
    if (this.#windowUpdates > allowed) {
      throw new FloodError("too many WINDOW_UPDATE frames", "inbound_window_update_frames_flood");
    }
  }

  /** Frames that wait to be sent: all of them, and those of types PING, SETTINGS and RST_STREAM. */
  checkOutbound(frames: number, controlFrames: number): void {
    if (frames > this.#limits.outboundFrames) {
      throw new FloodError("too many frames in the outbound queue", "outbound_flood");
    }
    if (controlFrames > this.#limits.outboundControlFrames) {
      throw new FloodError("too many control frames in the outbound queue", "outbound_control_flood");
    }
  }

  /**
   * A frame that is of no use: of an unknown type, SETTINGS, a head that is refused; `weight` is how many of them it is
   * worth. `now` is of the monotonic clock.
   */
  addUseless(now: number, weight: number): void {
    this.#left = Math.min(budget, this.#left + ((now - this.#spentAt) * perSecond) / 1_000) - weight;
    this.#spentAt = now;
    if (this.#left < 0) throw new FloodError("too many frames without use");
  }
}
