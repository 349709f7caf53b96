import protobuf from "protobufjs";
import type { DescriptorSet, EnumDescriptor, FieldDescriptor, ServiceDescriptor } from "../src/descriptor.ts";

const SENSITIVE_OPTION = "(udpa.annotations.sensitive)";

/** Packages whose messages and services belong to the product; whatever they refer to follows. */
const ROOT_PACKAGES =
  /^(envoy\.(?!annotations)|xds\.(core|type)\.|udpa\.type\.|istio\.|io\.istio\.|stats\.|grpc\.health\.|opentelemetry\.|google\.(rpc|protobuf)\.)/;

/** Reduces a resolved reflection tree to the compact descriptor the runtime loads, in a stable order. */
export function describe(root: protobuf.Root): DescriptorSet {
  const messages = new Map<string, readonly FieldDescriptor[]>();
  const enums = new Map<string, EnumDescriptor>();
  const services = new Map<string, ServiceDescriptor>();
  const visit = (object: protobuf.ReflectionObject | null): void => {
    if (object instanceof protobuf.Type) {
      const name = fullName(object);
      if (messages.has(name)) return;
      const fields = [...object.fieldsArray].sort((a, b) => a.id - b.id);
      messages.set(
        name,
        fields.map((field) => describeField(field)),
      );
      for (const field of fields) visit(field.resolve().resolvedType);
    } else if (object instanceof protobuf.Enum) {
      enums.set(fullName(object), { ...object.values });
    } else if (object instanceof protobuf.Service) {
      services.set(fullName(object), describeService(object));
    }
  };
  walk(root, (object) => {
    if (ROOT_PACKAGES.test(fullName(object)) && !isDescriptorProto(object)) visit(object);
  });
  return { messages: sorted(messages), enums: sorted(enums), services: sorted(services) };
}

function walk(namespace: protobuf.NamespaceBase, visit: (object: protobuf.ReflectionObject) => void): void {
  for (const object of namespace.nestedArray) {
    visit(object);
    if (object instanceof protobuf.Namespace) walk(object, visit);
  }
}

/** google/protobuf/descriptor.proto describes .proto files themselves and never travels to a proxy. */
function isDescriptorProto(object: protobuf.ReflectionObject): boolean {
  return object.filename?.endsWith("google/protobuf/descriptor.proto") === true;
}

function describeField(field: protobuf.Field): FieldDescriptor {
  const resolved = field.resolve();
  const type = resolved.resolvedType;
  const oneof = resolved.partOf && !resolved.partOf.isProto3Optional ? resolved.partOf.name : undefined;
  const isRepeatedOrMap = resolved.repeated || resolved.map;
  return {
    id: resolved.id,
    name: resolved.name,
    type: type ? fullName(type) : resolved.type,
    ...(type instanceof protobuf.Enum ? { isEnum: true } : {}),
    ...(resolved.repeated ? { repeated: true } : {}),
    ...(resolved.repeated && resolved.packed && isPackable(resolved) ? { packed: true } : {}),
    ...(resolved instanceof protobuf.MapField ? { key: resolved.keyType } : {}),
    ...(oneof ? { oneof } : {}),
    ...(!isRepeatedOrMap && resolved.hasPresence && !(type instanceof protobuf.Type) ? { presence: true } : {}),
    ...(resolved.options?.[SENSITIVE_OPTION] === true ? { sensitive: true } : {}),
  };
}

/** The parser calls every repeated proto3 field packed; only numbers can be. */
function isPackable(field: protobuf.Field): boolean {
  if (field.resolvedType) return field.resolvedType instanceof protobuf.Enum;
  return field.type !== "string" && field.type !== "bytes";
}

function describeService(service: protobuf.Service): ServiceDescriptor {
  return Object.fromEntries(
    service.methodsArray.map((method) => {
      method.resolve();
      const { resolvedRequestType, resolvedResponseType } = method;
      if (!resolvedRequestType || !resolvedResponseType) throw new Error(`${method.fullName} has unresolved types`);
      const request = fullName(resolvedRequestType);
      const response = fullName(resolvedResponseType);
      return [
        method.name,
        {
          request,
          response,
          ...(method.requestStream ? { requestStream: true } : {}),
          ...(method.responseStream ? { responseStream: true } : {}),
        },
      ];
    }),
  );
}

function fullName(object: protobuf.ReflectionObject): string {
  return object.fullName.replace(/^\./, "");
}

function sorted<T>(entries: ReadonlyMap<string, T>): Record<string, T> {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}
