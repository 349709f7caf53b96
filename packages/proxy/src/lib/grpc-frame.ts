/** Length of what stands before each message of gRPC: a flag for compression, and the message's length. */
export const grpcHeadLength = 5;

/** A message, not compressed, as gRPC sends it (gRPC over HTTP/2, "Length-Prefixed-Message"). */
export function frameGrpc(message: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(grpcHeadLength + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, grpcHeadLength);
  return frame;
}
