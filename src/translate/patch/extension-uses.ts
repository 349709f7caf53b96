/** Extensions of Envoy that a patch brings along. */
import { typeNameOf, unpackAny } from "@meltemi/protos";
import { hasExtension } from "../capabilities.ts";
import type { Capabilities } from "../scope.ts";

/** An extension by the name that it goes by on the wire and by the name that Envoy lists it under. */
export interface ExtensionUse {
  readonly name: string;
  readonly factory: string;
}

// Packages whose extensions Envoy lists as "envoy." and the path of the package. Of others the name cannot be told.
const namedAfterPackage =
  /^envoy\.extensions\.((?:filters\.(?:http|network|listener|udp)|transport_sockets|compression\.\w+)\.\w+)\.v\d/;

// Several extensions of one package, or a package of another name (Envoy: source/extensions/extensions_metadata.yaml).
const factoriesByType: ReadonlyMap<string, string> = new Map([
  ["envoy.extensions.access_loggers.file.v3.FileAccessLog", "envoy.access_loggers.file"],
  ["envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", "envoy.access_loggers.stdout"],
  ["envoy.extensions.access_loggers.stream.v3.StderrAccessLog", "envoy.access_loggers.stderr"],
  [
    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
    "envoy.access_loggers.open_telemetry",
  ],
  ["envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig", "envoy.access_loggers.http_grpc"],
  ["envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig", "envoy.access_loggers.tcp_grpc"],
  ["envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport", "envoy.transport_sockets.quic"],
  ["envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport", "envoy.transport_sockets.quic"],
]);

/** All that the message names, those within configurations of others included; each once. */
export function listExtensionUses(typeName: string, message: object): readonly ExtensionUse[] {
  const uses = new Map<string, ExtensionUse>();
  collect(message, typeName, uses);
  return [...uses.values()];
}

/** The extensions among `uses` that the proxy does not have; empty for proxies that list none. */
export function listMissing(uses: readonly ExtensionUse[], capabilities: Capabilities): readonly string[] {
  if (capabilities.extensions === undefined) return [];
  return uses
    .filter(({ name, factory }) => !hasExtension(capabilities, factory) && !hasExtension(capabilities, name))
    .map(({ factory }) => factory);
}

type Fields = Readonly<Record<string, unknown>>;

function collect(value: unknown, name: string, uses: Map<string, ExtensionUse>): void {
  if (Array.isArray(value)) {
    for (const element of value) collect(element, name, uses);
    return;
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  const fields = value as Fields;
  if (typeof fields["type_url"] === "string") {
    collectAny(fields, name, uses);
    return;
  }
  const own = typeof fields["name"] === "string" ? fields["name"] : undefined;
  // In a map, such as that of settings for single routes, the key is the name.
  for (const [key, member] of Object.entries(fields)) collect(member, own ?? key, uses);
}

function collectAny(any: Fields, name: string, uses: Map<string, ExtensionUse>): void {
  const { type_url: url, value } = any;
  const bytes = value instanceof Uint8Array ? { value } : {};
  note(String(url), name, uses);
  try {
    const { typeName, message } = unpackAny({ type_url: String(url), ...bytes });
    // JSON in the place of a message: it names the type that it stands for.
    if (typeName === "xds.type.v3.TypedStruct") note(String(message["type_url"]), name, uses);
    else collect(message, name, uses);
  } catch {
    // What cannot be read here is Envoy's to judge.
  }
}

function note(url: string, name: string, uses: Map<string, ExtensionUse>): void {
  const typeName = typeNameOf(url);
  const [, path] = namedAfterPackage.exec(typeName) ?? [];
  const factory = factoriesByType.get(typeName) ?? (path === undefined ? undefined : `envoy.${path}`);
  if (factory !== undefined) uses.set(`${name} ${factory}`, { name, factory });
}
