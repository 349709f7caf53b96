/** A header block that cannot be read, which costs the connection (COMPRESSION_ERROR; RFC 9113, section 4.3). */
export class HpackError extends Error {
  override readonly name = "HpackError";
}
