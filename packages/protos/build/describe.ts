import protobuf from "protobufjs";

/** Options that the runtime heeds; the rest is for validation and other languages. */
const KEPT_OPTIONS: ReadonlySet<string> = new Set(["(udpa.annotations.sensitive)", "packed", "proto3_optional"]);

/** Packages whose messages and services belong to the product; whatever they refer to follows. */
const ROOT_PACKAGES =
  /^(envoy\.(?!annotations)|xds\.(core|type)\.|udpa\.type\.|istio\.|io\.istio\.|stats\.|grpc\.health\.|opentelemetry\.|google\.(rpc|protobuf)\.)/;

type Json = protobuf.AnyNestedObject;

/**
 * Reduces a resolved reflection tree to what the runtime needs, as protobufjs's JSON in a stable order: fields by
 * number, types by absolute name, so that a part of the tree can be loaded by itself.
 */
export function describe(root: protobuf.Root): protobuf.INamespace {
  return { nested: describeNested(root, collectWanted(root)) };
}

function collectWanted(root: protobuf.Root): ReadonlySet<protobuf.ReflectionObject> {
  const wanted = new Set<protobuf.ReflectionObject>();
  const visit = (object: protobuf.ReflectionObject | null): void => {
    if (!object || wanted.has(object)) return;
    if (object instanceof protobuf.Enum || object instanceof protobuf.Service) wanted.add(object);
    if (!(object instanceof protobuf.Type)) return;
    wanted.add(object);
    for (const field of object.fieldsArray) visit(field.resolve().resolvedType);
  };
  walk(root, (object) => {
    if (ROOT_PACKAGES.test(fullName(object)) && !isDescriptorProto(object)) visit(object);
  });
  return wanted;
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

function describeNested(
  namespace: protobuf.NamespaceBase,
  wanted: ReadonlySet<protobuf.ReflectionObject>,
): Record<string, Json> {
  const entries = namespace.nestedArray.flatMap((object): [string, Json][] => {
    const json = describeObject(object, wanted);
    return json ? [[object.name, json]] : [];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Undefined when neither the object nor anything in it is wanted. */
function describeObject(
  object: protobuf.ReflectionObject,
  wanted: ReadonlySet<protobuf.ReflectionObject>,
): Json | undefined {
  if (object instanceof protobuf.Enum) return wanted.has(object) ? { values: { ...object.values } } : undefined;
  if (object instanceof protobuf.Service) return wanted.has(object) ? describeService(object) : undefined;
  if (!(object instanceof protobuf.Namespace)) return undefined;
  const nested = describeNested(object, wanted);
  const inner = Object.keys(nested).length === 0 ? undefined : { nested };
  if (!(object instanceof protobuf.Type)) return inner;
  return inner || wanted.has(object) ? { ...describeType(object), ...inner } : undefined;
}

function describeType(type: protobuf.Type): protobuf.IType {
  const { edition } = type.toJSON();
  const fields = [...type.fieldsArray].sort((a, b) => a.id - b.id);
  return {
    ...(edition === undefined ? {} : { edition }),
    ...(type.oneofsArray.length === 0 ? {} : { oneofs: describeOneofs(type) }),
    fields: Object.fromEntries(fields.map((field) => [field.name, describeField(field)])),
  };
}

function describeOneofs(type: protobuf.Type): Record<string, protobuf.IOneOf> {
  return Object.fromEntries(type.oneofsArray.map(({ name, oneof }) => [name, { oneof: [...oneof] }]));
}

function describeField(field: protobuf.Field): protobuf.IField | protobuf.IMapField {
  const { resolvedType, type, id, rule, options } = field.resolve();
  const kept = Object.entries(options ?? {}).filter(([name]) => KEPT_OPTIONS.has(name));
  return {
    ...(field instanceof protobuf.MapField ? { keyType: field.keyType } : {}),
    ...(rule === undefined ? {} : { rule }),
    type: resolvedType ? resolvedType.fullName : type,
    id,
    ...(kept.length === 0 ? {} : { options: Object.fromEntries(kept) }),
  };
}

function describeService(service: protobuf.Service): protobuf.IService {
  const methods = service.methodsArray.map((method): [string, protobuf.IMethod] => {
    method.resolve();
    const { resolvedRequestType, resolvedResponseType, requestStream, responseStream } = method;
    if (!resolvedRequestType || !resolvedResponseType) throw new Error(`${method.fullName} has unresolved types`);
    return [
      method.name,
      {
        requestType: resolvedRequestType.fullName,
        responseType: resolvedResponseType.fullName,
        ...(requestStream ? { requestStream } : {}),
        ...(responseStream ? { responseStream } : {}),
      },
    ];
  });
  return { methods: Object.fromEntries(methods) };
}

function fullName(object: protobuf.ReflectionObject): string {
  return object.fullName.replace(/^\./, "");
}
