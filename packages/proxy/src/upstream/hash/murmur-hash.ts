/**
 * MurmurHash2, 64 bits (MurmurHash64A of https://github.com/aappleby/smhasher): the other hash that rings may ask for. The
 * seed is that of the C++ standard library, as Envoy takes it.
 */
const multiplier = 0xc6a4a7935bd1e995n;
const shift = 47n;
const mask = 0xffffffffffffffffn;
const standardSeed = 0xc70f6907n;

/** The hash of a text's UTF-8 bytes. */
export function murmurHash2(text: string, seed: bigint = standardSeed): bigint {
  const bytes = Buffer.from(text);
  const whole = bytes.length - (bytes.length % 8);
  let hash = seed ^ multiply(BigInt(bytes.length));
  for (let offset = 0; offset < whole; offset += 8) {
    hash = multiply(hash ^ multiply(mix(multiply(bytes.readBigUInt64LE(offset)))));
  }
  if (whole < bytes.length) hash = multiply(hash ^ readTail(bytes, whole));
  return mix(multiply(mix(hash)));
}

function multiply(value: bigint): bigint {
  return (value * multiplier) & mask;
}

function mix(value: bigint): bigint {
  return value ^ (value >> shift);
}

function readTail(bytes: Buffer, from: number): bigint {
  let tail = 0n;
  for (let offset = bytes.length - 1; offset >= from; offset -= 1) tail = (tail << 8n) | BigInt(bytes[offset] ?? 0);
  return tail;
}
