import type { Clock } from "../lib/clock.ts";
import { Turns } from "../lib/turns.ts";

/** Milliseconds for everybody else between two slices: whoever asks for a page waits for it. */
const restMs = 1;
/** Characters that go out together. */
const chunkLength = 65_536;

/** The pieces of a long page: they are made as they go out, and requests have their turn between them. */
export async function* inTurns(pieces: Iterable<string>, clock: Clock): AsyncGenerator<string, void> {
  const turns = new Turns(clock, restMs);
  let waiting = "";
  for (const piece of pieces) {
    waiting += piece;
    if (waiting.length >= chunkLength) {
      yield waiting;
      waiting = "";
    }
    if (turns.isOver) await turns.next();
  }
  if (waiting !== "") yield waiting;
}
