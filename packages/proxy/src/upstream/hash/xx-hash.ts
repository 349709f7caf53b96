/** xxHash64, the hash of Envoy's rings, tables and hash policies (https://github.com/Cyan4973/xxHash). */
import xxhash from "xxhash-wasm";

const { h64 } = await xxhash();

/** The hash of a text's UTF-8 bytes. */
export function xxHash64(text: string, seed = 0n): bigint {
  return h64(text, seed);
}
