import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import protobuf from "protobufjs";

/** Folder of this repository's own .proto files. */
export const OWN_PROTOS = new URL("../../../protos/", import.meta.url).pathname;

/**
 * Files left out because they import definitions that the Envoy tree does not bring along
 * (OpenCensus, OpenTelemetry logs and traces, Prometheus). None of them can appear in a resource a proxy is sent.
 */
const UNLOADABLE: readonly RegExp[] = [
  /^envoy\/config\/trace\/v3\/(opencensus|trace)\.proto$/,
  /^envoy\/service\/metrics\/v3\/metrics_service\.proto$/,
  /^envoy\/service\/trace\/v3\/trace_service\.proto$/,
  /^envoy\/extensions\/access_loggers\/open_telemetry\/v3\/logs_service\.proto$/,
];

interface OverlayField {
  readonly type: string;
  readonly id: number;
}

/** Fields newer than the Envoy tree: message name to field name to field. */
type Overlay = Readonly<Record<string, Readonly<Record<string, OverlayField>>>>;

/**
 * Parses Envoy's v3 API from the development dependency that carries it, xDS and UDPA types, google.rpc and our own
 * definitions. Members are named as written, in snake_case, unless `camelCase` asks for the parser's own habit.
 * Throws when a file cannot be read or parsed.
 */
export function loadProtos({ camelCase = false } = {}): protobuf.Root {
  const dependencies = join(packageDir("@grpc/grpc-js-xds"), "deps");
  const includeDirs = [
    OWN_PROTOS,
    ...["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((name) => join(dependencies, name)),
    packageDir("protobufjs"),
  ];
  if (!camelCase) renameWellKnownFields();
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => findIncluded(includeDirs, target) ?? target;
  const wanted = [
    ...listProtos(OWN_PROTOS),
    ...listProtos(join(dependencies, "envoy-api")).filter((file) => /\/v3\//.test(file) && !isUnloadable(file)),
    ...listProtos(join(dependencies, "xds")),
    "google/rpc/status.proto",
    "google/rpc/error_details.proto",
  ];
  root.loadSync(wanted, { keepCase: !camelCase });
  applyOverlay(root, camelCase);
  root.resolveAll();
  return root;
}

function packageDir(name: string): string {
  return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
}

function isUnloadable(file: string): boolean {
  return UNLOADABLE.some((pattern) => pattern.test(file));
}

function findIncluded(includeDirs: readonly string[], target: string): string | undefined {
  return includeDirs.map((dir) => join(dir, target)).find((path) => existsSync(path));
}

function listProtos(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".proto"))
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}

/**
 * The parser bundles google.protobuf.Value with camelCase fields although every other message keeps its names:
 * a `string_value` would be dropped without a word. Give the bundled definition its true names.
 */
function renameWellKnownFields(): void {
  protobuf.common("struct", {
    Struct: { fields: { fields: { keyType: "string", type: "Value", id: 1 } } },
    Value: {
      oneofs: {
        kind: { oneof: ["null_value", "number_value", "string_value", "bool_value", "struct_value", "list_value"] },
      },
      fields: {
        null_value: { type: "NullValue", id: 1 },
        number_value: { type: "double", id: 2 },
        string_value: { type: "string", id: 3 },
        bool_value: { type: "bool", id: 4 },
        struct_value: { type: "Struct", id: 5 },
        list_value: { type: "ListValue", id: 6 },
      },
    },
    NullValue: { values: { NULL_VALUE: 0 } },
    ListValue: { fields: { values: { rule: "repeated", type: "Value", id: 1 } } },
  });
}

function applyOverlay(root: protobuf.Root, camelCase: boolean): void {
  const overlay = JSON.parse(readFileSync(join(OWN_PROTOS, "overlay.json"), "utf8")) as Overlay;
  for (const [typeName, fields] of Object.entries(overlay)) {
    const type = root.lookupType(typeName);
    for (const [name, field] of Object.entries(fields)) {
      if (type.fields[name]) throw new Error(`overlay field ${typeName}.${name} is now part of the tree: drop it`);
      type.add(new protobuf.Field(camelCase ? protobuf.util.camelCase(name) : name, field.id, field.type));
    }
  }
}
