/** What a simulated proxy needs of a DiscoveryResponse; the resources themselves are only counted. */
export interface ResponseHead {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly resources: number;
  readonly bytes: number;
}

const [versionField, resourcesField, typeUrlField, nonceField] = [1, 2, 4, 5];

/** Reads the head of an encoded envoy.service.discovery.v3.DiscoveryResponse by walking its fields. */
export function readResponseHead(bytes: Buffer): ResponseHead {
  const texts = new Map<number, string>();
  let resources = 0;
  let at = 0;
  while (at < bytes.length) {
    const [tag, afterTag] = readVarint(bytes, at);
    const field = tag >>> 3;
    const wire = tag & 7;
    if (wire === 0) {
      at = readVarint(bytes, afterTag)[1];
      continue;
    }
    if (wire !== 2) throw new Error(`unexpected wire type ${wire} at byte ${at}`);
    const [length, start] = readVarint(bytes, afterTag);
    at = start + length;
    if (field === resourcesField) resources += 1;
    if (field === versionField || field === typeUrlField || field === nonceField)
      texts.set(field, bytes.toString("utf8", start, at));
  }
  const text = (field: number): string => texts.get(field) ?? "";
  return {
    typeUrl: text(typeUrlField),
    version: text(versionField),
    nonce: text(nonceField),
    resources,
    bytes: bytes.length,
  };
}

function readVarint(bytes: Buffer, start: number): readonly [number, number] {
  let value = 0;
  let at = start;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[at];
    if (byte === undefined) throw new Error("truncated message");
    at += 1;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
  throw new Error("varint too long");
}
