/**
 * Memory of bytes that are on their way through the proxy. Left to the collector, each 64 KiB that a socket has read counts
 * as external memory, and a whole collection runs for every few dozen of megabytes: half of the time of a large transfer.
 */

/** Smaller ones are not worth a callback. */
const leastBytes = 16_384;

/**
 * What a writer may call when it has written `bytes`: gives their memory back at once. Undefined where that is not worth
 * it, or where they are a part of a larger piece of memory. Nobody may look at them after that.
 */
export function whenWritten(bytes: Uint8Array): (() => void) | undefined {
  const { buffer } = bytes;
  if (bytes.length < leastBytes || buffer.byteLength !== bytes.length || !(buffer instanceof ArrayBuffer)) {
    return undefined;
  }
  return () => {
    buffer.transfer(0);
  };
}

/** The same at once, for bytes that say nothing to anybody any more. */
export function freeBytes(bytes: Uint8Array): void {
  whenWritten(bytes)?.();
}
