import { createHash } from "node:crypto";
import xxhash from "xxhash-wasm";

// Loaded once at import: the WebAssembly module is in the package, so nothing is fetched.
const hasher = await xxhash();

/** Content hash of bytes as 16 hex digits (xxHash64). Equal bytes give equal text on every replica. Not for secrets. */
export function contentHash(bytes: Uint8Array): string {
  return hasher.h64Raw(bytes).toString(16).padStart(16, "0");
}

/** Content hash of text as 16 hex digits (xxHash64 of its UTF-8 bytes). Not for secrets. */
export function textHash(text: string): string {
  return hasher.h64(text).toString(16).padStart(16, "0");
}

/** Content hash as 16 hex digits that tells nothing of the bytes (SHA-256, cut off): for versions of what holds keys. */
export function secretHash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}
