/** Versions as numbers: xxHash64, as Envoy's gauges of versions have them. */
import xxhash from "xxhash-wasm";

/** The nearest number to the hash of a text: gauges hold no more than 53 bits exactly. */
export async function loadVersionHash(): Promise<(text: string) => number> {
  const { h64 } = await xxhash();
  return (text) => Number(h64(text));
}
