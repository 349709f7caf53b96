/**
 * Puts messages together from parts that are already encoded. A resource is encoded once per configuration; the
 * responses that carry it to thousands of proxies differ only in version and nonce and are spliced around its bytes.
 * Field numbers are those of envoy.service.discovery.v3.
 */
import protobuf from "protobufjs/light.js";
import { encode } from "./encode.ts";
import { WIRE_DELIMITED, WIRE_VARINT } from "./field-traits.ts";

/** Field `resources` of a state-of-the-world response. */
const SOTW_RESOURCES = 2;
/** Field `resources` of an incremental response. */
const DELTA_RESOURCES = 2;
const ANY_VALUE = 2;

/** Joins byte sequences. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    result.set(part, position);
    position += part.length;
  }
  return result;
}

/** A length-delimited field (message, string or bytes) with its tag and length in front. */
export function lengthDelimited(fieldNumber: number, bytes: Uint8Array): Uint8Array {
  // Joined rather than written, as a writer would copy a large resource twice.
  return concatBytes([finish(startField(fieldNumber, WIRE_DELIMITED).uint32(bytes.length)), bytes]);
}

export function stringField(fieldNumber: number, text: string): Uint8Array {
  return finish(startField(fieldNumber, WIRE_DELIMITED).string(text));
}

/** A varint field; `value` is a non-negative safe integer. */
export function varintField(fieldNumber: number, value: number): Uint8Array {
  return finish(startField(fieldNumber, WIRE_VARINT).uint64(value));
}

/** The bytes of an Any from the bytes of its message. */
export function encodeAny(url: string, message: Uint8Array): Uint8Array {
  return concatBytes([stringField(1, url), ...(message.length === 0 ? [] : [lengthDelimited(ANY_VALUE, message)])]);
}

/** One resource as a framed field of a state-of-the-world response. `message` is the encoded resource. */
export function frameSotwResource(url: string, message: Uint8Array): Uint8Array {
  return lengthDelimited(SOTW_RESOURCES, encodeAny(url, message));
}

export interface DeltaResourceParts {
  readonly name: string;
  readonly version: string;
  readonly typeUrl: string;
  /** The encoded resource. */
  readonly message: Uint8Array;
}

/** One resource as a framed field of an incremental response. */
export function frameDeltaResource({ name, version, typeUrl, message }: DeltaResourceParts): Uint8Array {
  const head = encode("envoy.service.discovery.v3.Resource", { name, version });
  return lengthDelimited(DELTA_RESOURCES, concatBytes([head, lengthDelimited(2, encodeAny(typeUrl, message))]));
}

export interface ResponseHead {
  readonly typeUrl: string;
  readonly nonce: string;
  /** Who answers, for `control_plane.identifier`. */
  readonly controlPlane?: string | undefined;
}

/**
 * An encoded DiscoveryResponse around resources framed by `frameSotwResource`. Fields may come in any order on the
 * wire, so the few that differ per stream are encoded as a message of their own.
 */
export function encodeDiscoveryResponse(
  head: ResponseHead & { readonly version: string },
  resourceFrames: readonly Uint8Array[],
): Uint8Array {
  const envelope = encode("envoy.service.discovery.v3.DiscoveryResponse", {
    version_info: head.version,
    type_url: head.typeUrl,
    nonce: head.nonce,
    control_plane: controlPlane(head),
  });
  return concatBytes([envelope, ...resourceFrames]);
}

/** An encoded DeltaDiscoveryResponse around resources framed by `frameDeltaResource`. */
export function encodeDeltaDiscoveryResponse(
  head: ResponseHead & { readonly systemVersion: string; readonly removedNames: readonly string[] },
  resourceFrames: readonly Uint8Array[],
): Uint8Array {
  const envelope = encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
    system_version_info: head.systemVersion,
    type_url: head.typeUrl,
    removed_resources: head.removedNames,
    nonce: head.nonce,
    control_plane: controlPlane(head),
  });
  return concatBytes([envelope, ...resourceFrames]);
}

function controlPlane({ controlPlane: identifier }: ResponseHead): { readonly identifier: string } | undefined {
  return identifier === undefined ? undefined : { identifier };
}

function startField(fieldNumber: number, wireType: number): protobuf.Writer {
  return protobuf.Writer.create().uint32(((fieldNumber << 3) | wireType) >>> 0);
}

/** A copy, as the writer's buffer may be part of one that Node shares out. */
function finish(writer: protobuf.Writer): Uint8Array {
  return new Uint8Array(writer.finish(true));
}
