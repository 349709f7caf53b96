import { readFileSync } from "node:fs";
import type { DescriptorSet, FieldDescriptor, ServiceDescriptor } from "./descriptor.ts";
import { ProtoError } from "./proto-error.ts";

export type ScalarType =
  | "double"
  | "float"
  | "int32"
  | "uint32"
  | "sint32"
  | "fixed32"
  | "sfixed32"
  | "int64"
  | "uint64"
  | "sint64"
  | "fixed64"
  | "sfixed64"
  | "bool"
  | "string"
  | "bytes";

/** An enum by both sides. With aliases, the first name declared stands for a number. */
export interface EnumSchema {
  readonly name: string;
  readonly numbers: ReadonlyMap<string, number>;
  readonly names: ReadonlyMap<number, string>;
}

/** What one value of a field (or one element, or one map value) is. */
export type ValueSchema =
  | { readonly kind: "scalar"; readonly scalar: ScalarType }
  | { readonly kind: "enum"; readonly enumSchema: EnumSchema }
  | { readonly kind: "message"; readonly typeName: string };

export interface FieldSchema {
  readonly id: number;
  readonly name: string;
  /** lowerCamelCase name of canonical JSON. */
  readonly jsonName: string;
  readonly value: ValueSchema;
  readonly repeated: boolean;
  readonly packed: boolean;
  /** Scalar type of a map's keys; undefined for anything but a map. */
  readonly key: ScalarType | undefined;
  readonly oneof: string | undefined;
  /** False for a singular scalar or enum whose default value means unset. */
  readonly hasPresence: boolean;
  readonly sensitive: boolean;
}

export interface MessageSchema {
  readonly name: string;
  /** Ascending by field number. */
  readonly fields: readonly FieldSchema[];
  readonly byName: ReadonlyMap<string, FieldSchema>;
  readonly byId: ReadonlyMap<number, FieldSchema>;
  /** By snake_case and lowerCamelCase name, both of which canonical JSON allows. */
  readonly byJsonName: ReadonlyMap<string, FieldSchema>;
}

const DESCRIPTORS = new URL("../gen/descriptors.json", import.meta.url);

const SCALARS: ReadonlySet<string> = new Set<ScalarType>([
  "double",
  "float",
  "int32",
  "uint32",
  "sint32",
  "fixed32",
  "sfixed32",
  "int64",
  "uint64",
  "sint64",
  "fixed64",
  "sfixed64",
  "bool",
  "string",
  "bytes",
]);

const messageSchemas = new Map<string, MessageSchema>();
const enumSchemas = new Map<string, EnumSchema>();
let loaded: DescriptorSet | undefined;

/** True when `name` is the full name of a message known here. */
export function isKnownType(name: string): boolean {
  return Object.hasOwn(descriptors().messages, name);
}

/** Full names of all messages. */
export function listTypeNames(): readonly string[] {
  return Object.keys(descriptors().messages);
}

/** Schema of a message, built on first use. Throws `ProtoError` for a name that is not known. */
export function findMessage(name: string): MessageSchema {
  const known = messageSchemas.get(name);
  if (known) return known;
  const fields = isKnownType(name) ? descriptors().messages[name] : undefined;
  if (!fields) throw new ProtoError(name, "unknown message type");
  const schema = createMessageSchema(name, fields);
  messageSchemas.set(name, schema);
  return schema;
}

/** Methods of a gRPC service by its full name. Throws `ProtoError` for a name that is not known. */
export function findService(name: string): ServiceDescriptor {
  const service = descriptors().services[name];
  if (!service) throw new ProtoError(name, "unknown service");
  return service;
}

function descriptors(): DescriptorSet {
  loaded ??= JSON.parse(readFileSync(DESCRIPTORS, "utf8")) as DescriptorSet;
  return loaded;
}

function createMessageSchema(name: string, descriptorsOfFields: readonly FieldDescriptor[]): MessageSchema {
  const fields = descriptorsOfFields.map((field) => createFieldSchema(field));
  return {
    name,
    fields,
    byName: new Map(fields.map((field) => [field.name, field])),
    byId: new Map(fields.map((field) => [field.id, field])),
    byJsonName: new Map(fields.flatMap((field) => [field.name, field.jsonName].map((key) => [key, field] as const))),
  };
}

function createFieldSchema(field: FieldDescriptor): FieldSchema {
  const value = createValueSchema(field);
  return {
    id: field.id,
    name: field.name,
    jsonName: toCamelCase(field.name),
    value,
    repeated: field.repeated === true,
    packed: field.packed === true,
    key: field.key === undefined ? undefined : (field.key as ScalarType),
    oneof: field.oneof,
    hasPresence: field.presence === true || value.kind === "message",
    sensitive: field.sensitive === true,
  };
}

function createValueSchema(field: FieldDescriptor): ValueSchema {
  if (field.isEnum) return { kind: "enum", enumSchema: findEnum(field.type) };
  if (isScalarType(field.type)) return { kind: "scalar", scalar: field.type };
  return { kind: "message", typeName: field.type };
}

function isScalarType(type: string): type is ScalarType {
  return SCALARS.has(type);
}

function findEnum(name: string): EnumSchema {
  const known = enumSchemas.get(name);
  if (known) return known;
  const values = Object.entries(descriptors().enums[name] ?? {});
  const schema: EnumSchema = {
    name,
    numbers: new Map(values),
    names: new Map(values.toReversed().map(([valueName, number]) => [number, valueName])),
  };
  enumSchemas.set(name, schema);
  return schema;
}

/** The JSON name protobuf derives from a field name: an underscore goes and the letter after it is raised. */
function toCamelCase(name: string): string {
  return name.replace(/_+(.?)/g, (_match, letter: string) => letter.toUpperCase());
}
