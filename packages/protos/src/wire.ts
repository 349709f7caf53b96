/**
 * Puts messages together from parts that are already encoded. A resource is encoded once per configuration; the
 * responses that carry it to thousands of proxies differ only in version and nonce and are spliced around its bytes.
 * Field numbers are those of envoy.service.discovery.v3.
 */
import { encode } from "./encode.ts";
import { WIRE_DELIMITED } from "./field-traits.ts";

/** Field `resources` of a state-of-the-world response. */
const SOTW_RESOURCES = 2;
/** Field `resources` of an incremental response. */
const DELTA_RESOURCES = 2;
/** Fields of a Resource, the elements of an incremental response. */
const RESOURCE_VERSION = 1;
const RESOURCE_BODY = 2;
const RESOURCE_NAME = 3;
const ANY_URL = 1;
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
  return concatBytes(partsOfField(fieldNumber, [bytes]));
}

/** One resource as a framed field of a state-of-the-world response. `message` is the encoded resource. */
export function frameSotwResource(url: string, message: Uint8Array): Uint8Array {
  return concatBytes(partsOfField(SOTW_RESOURCES, partsOfAny(url, message)));
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
  return concatBytes(
    partsOfField(DELTA_RESOURCES, [
      ...partsOfText(RESOURCE_VERSION, version),
      ...partsOfField(RESOURCE_BODY, partsOfAny(typeUrl, message)),
      ...partsOfText(RESOURCE_NAME, name),
    ]),
  );
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

// Fields inside fields are lists of parts until the outermost one is joined: a resource is copied once, however deep.
type Parts = readonly Uint8Array[];

function partsOfField(fieldNumber: number, content: Parts): Parts {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return [fieldHead(fieldNumber, length), ...content];
}

/** Nothing for an empty text, as proto3 has it. */
function partsOfText(fieldNumber: number, text: string): Parts {
  return text === "" ? [] : partsOfField(fieldNumber, [utf8.encode(text)]);
}

function partsOfAny(url: string, message: Uint8Array): Parts {
  const value = message.length === 0 ? [] : partsOfField(ANY_VALUE, [message]);
  return [...partsOfText(ANY_URL, url), ...value];
}

const utf8 = new TextEncoder();

/** Tag and length of a length-delimited field, written by hand: there are two or more of them for each resource. */
function fieldHead(fieldNumber: number, length: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest of [(fieldNumber << 3) | WIRE_DELIMITED, length]) {
    for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
    bytes.push(rest);
  }
  return Uint8Array.from(bytes);
}
