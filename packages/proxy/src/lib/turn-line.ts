/** What a turn of the event loop has room for: about a millisecond of work, eight sockets with 64 KiB each. */
export const wholeTurn = 8;

/** Those whose turn has yet to come, of the event loop as a whole: there is one, so there is one line in front of it. */
const line: { readonly weight: number; readonly run: () => void }[] = [];
let isScheduled = false;

/**
 * Calls `run` in a later turn of the event loop, first come first served, together with as many others as have room in it
 * (`weight` of `wholeTurn`): however many come at once, whoever has little to say waits for some of them at most.
 */
export function takeTurn(weight: number, run: () => void): void {
  line.push({ weight, run });
  schedule();
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(() => {
    isScheduled = false;
    for (let weight = 0; weight < wholeTurn; ) {
      const next = line.shift();
      if (next === undefined) break;
      weight += next.weight;
      next.run();
    }
    if (line.length > 0) schedule();
  });
}
