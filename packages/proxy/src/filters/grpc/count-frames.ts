const prefixLength = 5;

/** Calls `found` for each message of a gRPC body as its prefix comes, however the body is cut. */
export function createFrameCounter(found: () => void): (chunk: Uint8Array) => void {
  let prefixRead = 0;
  let length = 0;
  let toSkip = 0;
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (toSkip > 0) {
        const skipped = Math.min(toSkip, chunk.length - at);
        toSkip -= skipped;
        at += skipped;
        continue;
      }
      // The first byte says whether the message is compressed.
      if (prefixRead > 0) length = length * 256 + (chunk[at] ?? 0);
      prefixRead += 1;
      at += 1;
      if (prefixRead < prefixLength) continue;
      found();
      toSkip = length;
      prefixRead = 0;
      length = 0;
    }
  };
}
