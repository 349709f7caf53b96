import protobuf from "protobufjs/light.js";
import type { TypeMap } from "../gen/types/type-map.ts";
import type { TypeName } from "./encode.ts";
import {
  enumOf,
  hasPresence,
  isDefaultValue,
  keyTypeOf,
  messageOf,
  scalarDefault,
  scalarWireType,
  WIRE_DELIMITED,
  wireTypeOf,
} from "./field-traits.ts";
import { ProtoError, withOuterPath } from "./proto-error.ts";
import { type ReadScalar, readerOf } from "./scalar-readers.ts";
import { findField, findMessage } from "./schema.ts";

type Fields = Record<string, unknown>;

/** Reads one value without its tag; a message is merged into `previous` when there is one. */
type ReadValue = (reader: protobuf.Reader, depth: number, previous?: Fields) => unknown;

interface FieldDecoder {
  readonly field: protobuf.Field;
  readonly wireType: number;
  readonly hasPresence: boolean;
  readonly readValue: ReadValue;
  /** For maps alone. */
  readonly key: MapKey | undefined;
}

interface MapKey {
  readonly wireType: number;
  readonly initial: unknown;
  readonly read: ReadScalar;
}

interface MessageDecoder {
  readonly type: protobuf.Type;
  /** Fields met so far. */
  readonly byId: Map<number, FieldDecoder>;
}

interface Target {
  readonly into: Fields;
  readonly depth: number;
}

const MAX_DEPTH = 100;
const MAP_KEY = 1;
const MAP_VALUE = 2;
const decoders = new Map<protobuf.Type, MessageDecoder>();

/**
 * Parses a message into a plain object: snake_case members, enums by name (by number when newer than the
 * definitions), 64-bit integers as numbers or, beyond the safe range, as decimal strings. Unset members are absent, an
 * Any stays `{type_url, value}` and unknown fields are dropped. Bytes are views of the input: do not reuse its buffer.
 * Throws `ProtoError` on truncated or malformed input.
 */
export function decode<K extends TypeName>(typeName: K, bytes: Uint8Array): TypeMap[K] {
  return decodeDynamic(typeName, bytes) as TypeMap[K];
}

/** `decode` for a type known only at run time. */
export function decodeDynamic(typeName: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  // protobufjs reads text several times as fast from a Buffer, which is a view here.
  const reader = protobuf.Reader.create(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  try {
    return readMessage(reader, findDecoder(findMessage(typeName)), { into: {}, depth: 0 });
  } catch (cause) {
    throw withOuterPath(typeName, cause);
  }
}

function findDecoder(type: protobuf.Type): MessageDecoder {
  const known = decoders.get(type);
  if (known) return known;
  const decoder = { type, byId: new Map<number, FieldDecoder>() };
  decoders.set(type, decoder);
  return decoder;
}

function readMessage(reader: protobuf.Reader, message: MessageDecoder, target: Target): Fields {
  if (target.depth > MAX_DEPTH) throw new ProtoError("", "nested too deeply");
  let decoder: FieldDecoder | undefined;
  try {
    while (reader.pos < reader.len) {
      decoder = undefined;
      const tag = reader.tag();
      decoder = message.byId.get(tag >>> 3) ?? addFieldDecoder(message, tag >>> 3);
      if (decoder) readField(reader, { message, decoder, wireType: tag & 7 }, target);
      else reader.skipType(tag & 7, target.depth, tag >>> 3);
    }
  } catch (cause) {
    const error = toProtoError(cause);
    throw decoder ? withOuterPath(decoder.field.name, error) : error;
  }
  return target.into;
}

/** protobufjs reports malformed bytes by plain errors. */
function toProtoError(cause: unknown): unknown {
  return cause instanceof ProtoError || !(cause instanceof Error) ? cause : new ProtoError("", cause.message);
}

interface FieldHeader {
  readonly message: MessageDecoder;
  readonly decoder: FieldDecoder;
  readonly wireType: number;
}

function readField(reader: protobuf.Reader, header: FieldHeader, target: Target): void {
  const { decoder, wireType } = header;
  const { field, key, wireType: expected } = decoder;
  if (key && wireType === WIRE_DELIMITED) {
    readMapEntry(reader, { key, decoder }, target);
  } else if (field.repeated && wireType === WIRE_DELIMITED && expected !== WIRE_DELIMITED) {
    // A reader must take the packed form whether or not the field is declared so.
    const outerEnd = enterPart(reader);
    while (reader.pos < reader.len) append(target, field, decoder.readValue(reader, target.depth));
    reader.len = outerEnd;
  } else if (wireType !== expected) {
    reader.skipType(wireType, target.depth, field.id);
  } else if (field.repeated) {
    append(target, field, decoder.readValue(reader, target.depth));
  } else {
    readSingular(reader, header, target);
  }
}

/** Confines the reader to the length-delimited part that comes next. Returns the end to restore after it. */
function enterPart(reader: protobuf.Reader): number {
  const length = reader.size();
  const outerEnd = reader.len;
  if (length > outerEnd - reader.pos) throw new ProtoError("", "the bytes end within a field");
  reader.len = reader.pos + length;
  return outerEnd;
}

function readSingular(reader: protobuf.Reader, { message, decoder }: FieldHeader, { into, depth }: Target): void {
  const { field } = decoder;
  if (field.partOf) clearOneof(message.type, field, into);
  // A message field that comes twice is merged, as the protobuf rules ask.
  const value = decoder.readValue(reader, depth, into[field.name] as Fields | undefined);
  if (decoder.hasPresence || !isDefaultValue(field, value)) setMember(into, field.name, value);
  else delete into[field.name];
}

function clearOneof(type: protobuf.Type, field: protobuf.Field, into: Fields): void {
  for (const name in into) {
    if (name !== field.name && findField(type, name)?.partOf === field.partOf) delete into[name];
  }
}

function append({ into }: Target, field: protobuf.Field, value: unknown): void {
  const list = into[field.name];
  if (Array.isArray(list)) list.push(value);
  else into[field.name] = [value];
}

function readMapEntry(
  reader: protobuf.Reader,
  { key, decoder }: { readonly key: MapKey; readonly decoder: FieldDecoder },
  { into, depth }: Target,
): void {
  const { field } = decoder;
  const outerEnd = enterPart(reader);
  let name = key.initial;
  let value: unknown;
  while (reader.pos < reader.len) {
    const tag = reader.tag();
    if (tag === ((MAP_KEY << 3) | key.wireType)) name = key.read(reader);
    else if (tag === ((MAP_VALUE << 3) | decoder.wireType)) value = decoder.readValue(reader, depth);
    else reader.skipType(tag & 7, depth, tag >>> 3);
  }
  reader.len = outerEnd;
  into[field.name] ??= {};
  setMember(into[field.name] as Fields, String(name), value ?? defaultValue(field));
}

/** Assigns even the one key that plain assignment would take for the object's prototype. */
function setMember(into: Fields, name: string, value: unknown): void {
  if (name === "__proto__") {
    Object.defineProperty(into, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    into[name] = value;
  }
}

function defaultValue(field: protobuf.Field): unknown {
  if (messageOf(field)) return {};
  const enumType = enumOf(field);
  return enumType ? (enumType.valuesById[0] ?? 0) : scalarDefault(field.type);
}

/** Undefined for a number that the message does not have. */
function addFieldDecoder(message: MessageDecoder, id: number): FieldDecoder | undefined {
  const field = message.type.fieldsById[id];
  if (!field) return undefined;
  const keyType = keyTypeOf(field);
  const decoder: FieldDecoder = {
    field,
    wireType: wireTypeOf(field),
    hasPresence: hasPresence(field),
    readValue: createValueReader(field),
    key:
      keyType === undefined
        ? undefined
        : { wireType: scalarWireType(keyType), initial: scalarDefault(keyType), read: readerOf(keyType) },
  };
  message.byId.set(id, decoder);
  return decoder;
}

function createValueReader(field: protobuf.Field): ReadValue {
  const enumType = enumOf(field);
  if (enumType) {
    return (reader) => {
      const number = reader.int32();
      return enumType.valuesById[number] ?? number;
    };
  }
  const messageType = messageOf(field);
  if (!messageType) return readerOf(field.type);
  const decoder = findDecoder(messageType);
  return (reader, depth, previous) => {
    const outerEnd = enterPart(reader);
    const message = readMessage(reader, decoder, { into: previous ?? {}, depth: depth + 1 });
    reader.len = outerEnd;
    return message;
  };
}
