/**
 * Floods of frames that carry nothing: PING, PRIORITY, WINDOW_UPDATE, heads that unfold into megabytes and are refused. The
 * platform shows none of them, so the guard compares the bytes that came with those that were of use. Envoy counts frames
 * (max_inbound_priority_frames_per_stream, max_inbound_window_update_frames_per_data_frame_sent); its limits are within.
 */

/** For settings, and whatever else a client says only once. */
const once = 64 * 1024;
/** Bytes a second that may be of no use: PINGs that keep a connection alive. */
const perSecond = 2 * 1024;
/** 100 PRIORITY frames, and the frame of the head itself. */
const perRequest = 1_500;
/** What HPACK adds to a header of which nothing is in its tables. */
const perHeader = 8;
/** For each byte of a body: one in a frame of its own has the nine of the frame's head with it, and some are padded. */
const perByte = 16;
/** 10 WINDOW_UPDATEs for each DATA frame that was sent. */
const perSentFrame = 130;
const frameBytes = 16_384;

export class FloodGuard {
  #allowed = once;

  /** `raw` is name, value, name, value … */
  addHead(raw: readonly string[]): void {
    let length = perRequest + (raw.length / 2) * perHeader;
    for (const text of raw) length += text.length;
    this.#allowed += length;
  }

  addReceived(bytes: number): void {
    this.#allowed += bytes * perByte;
  }

  addSent(bytes: number): void {
    this.#allowed += perSentFrame * (1 + Math.ceil(bytes / frameBytes));
  }

  /** True where `bytesRead` in `ageMs` is more than can be explained. */
  isFlooded(bytesRead: number, ageMs: number): boolean {
    return bytesRead > this.#allowed + (ageMs / 1_000) * perSecond;
  }
}
