import { readFileSync } from "node:fs";
import protobuf from "protobufjs/light.js";
import { ProtoError } from "./proto-error.ts";

/** One method of a gRPC service; types are full message names. */
export interface MethodDescriptor {
  readonly request: string;
  readonly response: string;
  readonly requestStream?: true;
  readonly responseStream?: true;
}

/** Method names to methods. */
export type ServiceDescriptor = Readonly<Record<string, MethodDescriptor>>;

/** What the build step leaves of the .proto files, as protobufjs's JSON. Types are referred to by absolute names. */
const DESCRIPTORS = new URL("../gen/descriptors.json", import.meta.url);

/** Package and outermost message or enum in a full name: only the names of packages start with a small letter. */
const OUTERMOST = /^(.+?)\.([A-Z]\w*)/;

const messages = new Map<string, protobuf.Type>();
const names = new WeakMap<protobuf.ReflectionObject, string>();
const root = new protobuf.Root();
const added = new Set<string>();
const resolved = new WeakSet<protobuf.Type>();
let loadedDescriptor: protobuf.INamespace | undefined;

/** True when `name` is the full name of a message known here. */
export function isKnownType(name: string): boolean {
  const node = findNode(name);
  return node !== undefined && "fields" in node;
}

/** Full names of all messages. */
export function listTypeNames(): readonly string[] {
  return listMessages("", descriptor()).sort();
}

/** A message type, ready for use. Throws `ProtoError` for a name that is not known. */
export function findMessage(name: string): protobuf.Type {
  const known = messages.get(name);
  if (known) return known;
  if (!isKnownType(name)) throw new ProtoError(name, "unknown message type");
  addToRoot(name);
  const type = resolveMessage(root.lookupType(`.${name}`));
  messages.set(name, type);
  return type;
}

/** Field of a message by its snake_case name. */
export function findField(type: protobuf.Type, name: string): protobuf.Field | undefined {
  return Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
}

/** Field of a message by its snake_case or lowerCamelCase name, both of which canonical JSON allows. */
export function findFieldByJsonName(type: protobuf.Type, name: string): protobuf.Field | undefined {
  return findField(type, name) ?? type.fieldsArray.find(({ jsonName }) => jsonName === name);
}

/** Full name of a message or enum, without the leading dot. */
export function nameOf(object: protobuf.ReflectionObject): string {
  const known = names.get(object);
  if (known !== undefined) return known;
  const name = object.fullName.slice(1);
  names.set(object, name);
  return name;
}

/** Methods of a gRPC service by its full name. Throws `ProtoError` for a name that is not known. */
export function findService(name: string): ServiceDescriptor {
  const node = findNode(name);
  if (!node || !("methods" in node)) throw new ProtoError(name, "unknown service");
  return Object.fromEntries(
    Object.entries(node.methods).map(([methodName, method]) => [
      methodName,
      {
        request: method.requestType.slice(1),
        response: method.responseType.slice(1),
        ...(method.requestStream ? { requestStream: true } : {}),
        ...(method.responseStream ? { responseStream: true } : {}),
      },
    ]),
  );
}

/**
 * Makes the fields of a message, and of the messages within it, ready for use. A type reached through a field is not
 * so by itself: the whole tree would take a third of a second, while a process meets few of its thousand messages.
 */
export function resolveMessage(type: protobuf.Type): protobuf.Type {
  if (resolved.has(type)) return type;
  const name = nameOf(type);
  const outermost = addToRoot(name);
  for (const reference of listReferences(findNode(outermost))) addToRoot(reference);
  root.lookupType(`.${outermost}`).resolveAll();
  resolved.add(type);
  return type;
}

/** Adds the outermost message or enum that holds the one named. Returns its name. */
function addToRoot(name: string): string {
  const [outermost, packageName, localName] = OUTERMOST.exec(name) ?? [];
  if (outermost === undefined || packageName === undefined || localName === undefined) {
    throw new ProtoError(name, "not the name of a type");
  }
  if (!added.has(outermost)) {
    root.define(packageName, { [localName]: findNode(outermost) });
    added.add(outermost);
  }
  return outermost;
}

function listReferences(node: protobuf.AnyNestedObject | undefined): string[] {
  if (!node) return [];
  const types = "fields" in node ? Object.values(node.fields).map(({ type }) => type) : [];
  const own = types.filter((type) => type.startsWith(".")).map((type) => type.slice(1));
  return [...own, ...Object.values(nestedOf(node)).flatMap((nested) => listReferences(nested))];
}

function listMessages(prefix: string, node: protobuf.AnyNestedObject): string[] {
  return Object.entries(nestedOf(node)).flatMap(([name, nested]) => [
    ...("fields" in nested ? [prefix + name] : []),
    ...listMessages(`${prefix}${name}.`, nested),
  ]);
}

function findNode(name: string): protobuf.AnyNestedObject | undefined {
  let node: protobuf.AnyNestedObject | undefined = descriptor();
  for (const segment of name.split(".")) {
    const nested = nestedOf(node);
    node = Object.hasOwn(nested, segment) ? nested[segment] : undefined;
    if (!node) return undefined;
  }
  return node;
}

function nestedOf(node: protobuf.AnyNestedObject): Readonly<Record<string, protobuf.AnyNestedObject>> {
  return ("nested" in node ? node.nested : undefined) ?? {};
}

function descriptor(): protobuf.INamespace {
  loadedDescriptor ??= JSON.parse(readFileSync(DESCRIPTORS, "utf8")) as protobuf.INamespace;
  return loadedDescriptor;
}
