/**
 * Resources in wire form, each encoded once for as long as its message lives: a generator that returns the same message
 * again costs nothing. Load assignments and route configurations are put together from the cached bytes of their parts
 * (endpoints, virtual hosts), so that one changed part of a thousand is all that is encoded anew.
 */
import { concatBytes, encodeDynamic, frameDeltaResource, frameSotwResource, lengthDelimited } from "@meltemi/protos";
import { contentHash, secretHash } from "../lib/hash.ts";
import type { ObjectRef } from "../lib/message.ts";
import type { Built } from "../translate/built.ts";
import type { ResourceType } from "./resource-types.ts";

/** A resource as responses carry it. */
export interface EncodedResource {
  readonly name: string;
  readonly typeUrl: string;
  /** Content hash of the encoded message: equal on every replica. */
  readonly version: string;
  /** The message alone. */
  readonly bytes: Uint8Array;
  /** Field `resources` of a DiscoveryResponse: an Any. */
  readonly sotwFrame: Uint8Array;
  /** Field `resources` of a DeltaDiscoveryResponse: a Resource with name and version. Made when first asked for. */
  readonly deltaFrame: Uint8Array;
  /** As it was last generated: the same bytes may come to be made by other objects. */
  readonly built: Built<object>;
  /** Notes that the resource was generated again and came out the same, byte for byte. */
  adopt(built: Built<object>): void;
}

interface EncodedMessage {
  readonly version: string;
  readonly bytes: Uint8Array;
  readonly sotwFrame: Uint8Array;
}

const messages = new WeakMap<object, EncodedMessage>();

/**
 * Encodes a generated resource; the same message object is encoded once. Throws `ProtoError` where the message does not
 * fit its type.
 */
export function encodeResource(type: ResourceType, built: Built<object>): EncodedResource {
  const known = messages.get(built.message) ?? encodeMessage(type, built.message);
  return new LazyResource(type.typeUrl, built, known);
}

/**
 * Encodes what is for one proxy alone and holds keys. `shown` is what pages and logs see of it; nothing is kept beyond
 * the result.
 */
export function encodePrivately(type: ResourceType, built: Built<object>, shown: object): EncodedResource {
  const { sotwFrame, bytes } = frameMessage(type, built.message);
  const encoded = { version: secretHash(bytes), bytes, sotwFrame };
  return new LazyResource(type.typeUrl, { ...built, message: shown }, encoded);
}

let adoptions = 0;

/** Grows whenever a resource that stayed the same came to be made by other objects. */
export function countAdoptions(): number {
  return adoptions;
}

function isSameRef(a: ObjectRef, b: ObjectRef | undefined): boolean {
  return a.name === b?.name && a.namespace === b.namespace && a.kind === b.kind;
}

class LazyResource implements EncodedResource {
  readonly name: string;
  readonly typeUrl: string;
  readonly version: string;
  readonly bytes: Uint8Array;
  readonly sotwFrame: Uint8Array;
  #built: Built<object>;
  #deltaFrame: Uint8Array | undefined;

  constructor(typeUrl: string, built: Built<object>, encoded: EncodedMessage) {
    this.name = built.name;
    this.typeUrl = typeUrl;
    this.version = encoded.version;
    this.bytes = encoded.bytes;
    this.sotwFrame = encoded.sotwFrame;
    this.#built = built;
  }

  get built(): Built<object> {
    return this.#built;
  }

  adopt(built: Built<object>): void {
    const before = this.#built.sources;
    this.#built = built;
    const isSame =
      before.length === built.sources.length &&
      before.every((ref, index) => ref === built.sources[index] || isSameRef(ref, built.sources[index]));
    if (!isSame) adoptions += 1;
  }

  get deltaFrame(): Uint8Array {
    this.#deltaFrame ??= frameDeltaResource({
      name: this.name,
      version: this.version,
      typeUrl: this.typeUrl,
      message: this.bytes,
    });
    return this.#deltaFrame;
  }
}

function encodeMessage(type: ResourceType, message: object): EncodedMessage {
  const { sotwFrame, bytes } = frameMessage(type, message);
  const encoded = { version: contentHash(bytes), bytes, sotwFrame };
  messages.set(message, encoded);
  return encoded;
}

function frameMessage(type: ResourceType, message: object): Pick<EncodedMessage, "bytes" | "sotwFrame"> {
  const plain = encodeSpliced(type.typeName, message);
  const sotwFrame = frameSotwResource(type.typeUrl, plain);
  // The message is the end of its frame: one allocation holds both.
  return { sotwFrame, bytes: sotwFrame.subarray(sotwFrame.length - plain.length) };
}

/** A repeated field whose elements are encoded on their own and kept. */
interface SplicedField {
  /** Fields with lower numbers than the spliced one: they go first, so that the bytes equal those of plain encoding. */
  readonly before: readonly string[];
  readonly field: string;
  readonly fieldNumber: number;
  readonly elementType: string;
}

const splicedFields: { readonly [typeName: string]: SplicedField } = {
  "envoy.config.endpoint.v3.ClusterLoadAssignment": {
    before: ["cluster_name"],
    field: "endpoints",
    fieldNumber: 2,
    elementType: "envoy.config.endpoint.v3.LocalityLbEndpoints",
  },
  "envoy.config.endpoint.v3.LocalityLbEndpoints": {
    before: ["locality"],
    field: "lb_endpoints",
    fieldNumber: 2,
    elementType: "envoy.config.endpoint.v3.LbEndpoint",
  },
  "envoy.config.route.v3.RouteConfiguration": {
    before: ["name"],
    field: "virtual_hosts",
    fieldNumber: 2,
    elementType: "envoy.config.route.v3.VirtualHost",
  },
};

/** Encodes a message, with cached parts where its type has them; byte for byte what plain encoding gives. */
export function encodeSpliced(typeName: string, message: object): Uint8Array {
  const splice = splicedFields[typeName];
  if (splice === undefined) return encodeDynamic(typeName, message);
  const head: Record<string, unknown> = {};
  const tail: Record<string, unknown> = {};
  let elements: readonly object[] = [];
  for (const [name, value] of Object.entries(message)) {
    if (name === splice.field) elements = value ?? [];
    else if (splice.before.includes(name)) head[name] = value;
    else tail[name] = value;
  }
  const parts = elements.map((element) => framePart(splice, element));
  return concatBytes([encodeDynamic(typeName, head), ...parts, encodeDynamic(typeName, tail)]);
}

const parts = new WeakMap<object, Uint8Array>();

function framePart(splice: SplicedField, element: object): Uint8Array {
  const known = parts.get(element);
  if (known !== undefined) return known;
  const frame = lengthDelimited(splice.fieldNumber, encodeSpliced(splice.elementType, element));
  parts.set(element, frame);
  return frame;
}
