/** From a raw Kubernetes-shaped object, of unknown content, to an object of the mesh and what is to be said about it. */
import type { Message, ObjectRef, Position } from "../lib/message.ts";
import type { AuthorizationPolicySpec } from "./authorization-policy/schema.ts";
import { validateAuthorizationPolicy } from "./authorization-policy/validate.ts";
import { checkAnnotations } from "./check-annotations.ts";
import { compileSchema, type SchemaCheck } from "./check-schema.ts";
import type { DestinationRuleSpec } from "./destination-rule/schema.ts";
import { validateDestinationRule } from "./destination-rule/validate.ts";
import type { EnvoyFilterSpec } from "./envoy-filter/schema.ts";
import { validateEnvoyFilter } from "./envoy-filter/validate.ts";
import { createFindings, type Finding, formatPath, type Path } from "./findings.ts";
import type { GatewaySpec } from "./gateway/schema.ts";
import { validateGateway } from "./gateway/validate.ts";
import type { MeshObject } from "./kinds.ts";
import {
  findKindInfo,
  type IstioKind,
  isBystander,
  isIstioKind,
  isKubeKind,
  istioKinds,
  kubeKinds,
  untranslatedKinds,
} from "./known-kinds.ts";
import { convertKubeObject } from "./kubernetes/convert.ts";
import { parseMetadata } from "./metadata.ts";
import { findNearestWord } from "./nearest-word.ts";
import type { ObjectMeta } from "./object.ts";
import { readStatus } from "./object-status.ts";
import type { PeerAuthenticationSpec } from "./peer-authentication/schema.ts";
import { validatePeerAuthentication } from "./peer-authentication/validate.ts";
import { copyPlain, describeType } from "./plain-value.ts";
import type { ProxyConfigSpec } from "./proxy-config/schema.ts";
import { validateProxyConfig } from "./proxy-config/validate.ts";
import type { RequestAuthenticationSpec } from "./request-authentication/schema.ts";
import { validateRequestAuthentication } from "./request-authentication/validate.ts";
import type { ServiceEntrySpec } from "./service-entry/schema.ts";
import { validateServiceEntry } from "./service-entry/validate.ts";
import type { SidecarSpec } from "./sidecar/schema.ts";
import { validateSidecar } from "./sidecar/validate.ts";
import { specSchemas } from "./spec-schemas.ts";
import type { TelemetrySpec } from "./telemetry/schema.ts";
import { validateTelemetry } from "./telemetry/validate.ts";
import type { TrafficExtensionSpec } from "./traffic-extension/schema.ts";
import { validateTrafficExtension } from "./traffic-extension/validate.ts";
import { findUntranslatedFields } from "./untranslated-fields.ts";
import type { VirtualServiceSpec } from "./virtual-service/schema.ts";
import { validateVirtualService } from "./virtual-service/validate.ts";
import type { WasmPluginSpec } from "./wasm-plugin/schema.ts";
import { validateWasmPlugin } from "./wasm-plugin/validate.ts";
import type { WorkloadEntrySpec } from "./workload-entry/schema.ts";
import { validateWorkloadEntry } from "./workload-entry/validate.ts";
import type { WorkloadGroupSpec } from "./workload-group/schema.ts";
import { validateWorkloadGroup } from "./workload-group/validate.ts";

export interface ParseOptions {
  /** Where a field stands, for objects from files; the nearest field that exists for one that does not. */
  readonly positionOf?: (path: Path) => Position | undefined;
  /**
   * What a field of `spec` is that the API does not know: an error where not given. An API server with newer CRDs hands
   * out fields that this version does not know, in objects that it has accepted.
   */
  readonly unknownFields?: "error" | "warning";
}

export interface ParsedObject {
  /** Absent where there are errors, and for kinds that the mesh does not read. */
  readonly object?: MeshObject;
  /** Which object it is, as far as that could be read: name and namespace may be "". */
  readonly ref: ObjectRef;
  /** Errors (then there is no object), warnings and hints. */
  readonly messages: readonly Message[];
}

interface SpecOf {
  readonly VirtualService: VirtualServiceSpec;
  readonly DestinationRule: DestinationRuleSpec;
  readonly Gateway: GatewaySpec;
  readonly ServiceEntry: ServiceEntrySpec;
  readonly WorkloadEntry: WorkloadEntrySpec;
  readonly Sidecar: SidecarSpec;
  readonly PeerAuthentication: PeerAuthenticationSpec;
  readonly AuthorizationPolicy: AuthorizationPolicySpec;
  readonly RequestAuthentication: RequestAuthenticationSpec;
  readonly Telemetry: TelemetrySpec;
  readonly ProxyConfig: ProxyConfigSpec;
  readonly WorkloadGroup: WorkloadGroupSpec;
  readonly EnvoyFilter: EnvoyFilterSpec;
  readonly WasmPlugin: WasmPluginSpec;
  readonly TrafficExtension: TrafficExtensionSpec;
}

type KindChecks = {
  readonly [Kind in IstioKind]: {
    readonly schema: SchemaCheck;
    readonly validate: (spec: SpecOf[Kind], meta: ObjectMeta) => readonly Finding[];
  };
};

const kindChecks: KindChecks = {
  VirtualService: { schema: compileSchema(specSchemas.VirtualService), validate: validateVirtualService },
  DestinationRule: { schema: compileSchema(specSchemas.DestinationRule), validate: validateDestinationRule },
  Gateway: { schema: compileSchema(specSchemas.Gateway), validate: validateGateway },
  ServiceEntry: { schema: compileSchema(specSchemas.ServiceEntry), validate: validateServiceEntry },
  WorkloadEntry: { schema: compileSchema(specSchemas.WorkloadEntry), validate: validateWorkloadEntry },
  Sidecar: { schema: compileSchema(specSchemas.Sidecar), validate: validateSidecar },
  PeerAuthentication: { schema: compileSchema(specSchemas.PeerAuthentication), validate: validatePeerAuthentication },
  AuthorizationPolicy: {
    schema: compileSchema(specSchemas.AuthorizationPolicy),
    validate: validateAuthorizationPolicy,
  },
  RequestAuthentication: {
    schema: compileSchema(specSchemas.RequestAuthentication),
    validate: validateRequestAuthentication,
  },
  Telemetry: { schema: compileSchema(specSchemas.Telemetry), validate: validateTelemetry },
  ProxyConfig: { schema: compileSchema(specSchemas.ProxyConfig), validate: validateProxyConfig },
  WorkloadGroup: { schema: compileSchema(specSchemas.WorkloadGroup), validate: validateWorkloadGroup },
  EnvoyFilter: { schema: compileSchema(specSchemas.EnvoyFilter), validate: validateEnvoyFilter },
  WasmPlugin: { schema: compileSchema(specSchemas.WasmPlugin), validate: validateWasmPlugin },
  TrafficExtension: { schema: compileSchema(specSchemas.TrafficExtension), validate: validateTrafficExtension },
};

/** Most objects in one List, and levels of Lists in Lists. */
const maxListItems = 100_000;
const maxListDepth = 3;

/** Parses one raw object; a `List` gives one result for each of its items. Never throws, whatever the content is. */
export function parseObjects(raw: unknown, options: ParseOptions = {}): readonly ParsedObject[] {
  return expand(raw, [], 0).map(([item, prefix]) => {
    const { positionOf } = options;
    if (positionOf === undefined || prefix.length === 0) return parseObject(item, options);
    return parseObject(item, { ...options, positionOf: (path) => positionOf([...prefix, ...path]) });
  });
}

/** Parses one raw object that is not a List. Never throws, whatever the content is. */
export function parseObject(raw: unknown, options: ParseOptions = {}): ParsedObject {
  const top = describeTop(raw);
  if (typeof top === "string") {
    return finish(
      { kind: "", namespace: "", name: "" },
      [{ level: "error", code: "not-an-object", path: [], text: top }],
      { options },
    );
  }
  const { apiVersion, kind } = top;
  if (isKubeKind(kind) && kubeKinds[kind].versions.includes(apiVersion)) {
    const { meta, ref, findings } = parseIdentity(raw, kind, kubeKinds[kind].isNamespaced);
    const converted = convertKubeObject(kind, raw, { apiVersion, meta });
    return finish(ref, [...findings, ...converted.findings], { object: converted.object, options });
  }
  if (isIstioKind(kind) && istioKinds[kind].versions.includes(apiVersion))
    return parseIstioObject(kind, raw, { apiVersion, options });
  const { ref } = parseIdentity(raw, kind, true);
  return finish(ref, [describeUnreadKind(apiVersion, kind)], { options });
}

function parseIstioObject(
  kind: IstioKind,
  raw: unknown,
  context: { readonly apiVersion: string; readonly options: ParseOptions },
): ParsedObject {
  const identity = parseIdentity(raw, kind, true);
  const findings = createFindings();
  for (const name of Object.keys(raw as object)) {
    if (!["apiVersion", "kind", "metadata", "spec", "status"].includes(name)) {
      const nearest = findNearestWord(name, ["apiVersion", "kind", "metadata", "spec", "status"]);
      const hint = nearest === undefined ? "" : `, did you mean "${nearest}"?`;
      findings.error([name], `unknown field "${name.slice(0, 100)}"${hint}`, "unknown-field");
    }
  }
  const plain = copyPlain(ownField(raw, "spec") ?? {}, ["spec"], findings);
  const checks = kindChecks[kind];
  const { unknownFields } = context.options;
  const spec =
    plain === undefined ? undefined : checks.schema.check(plain, { path: ["spec"], findings, unknownFields });
  if (spec === undefined) return finish(identity.ref, [...identity.findings, ...findings.all], context);
  // The schema has just proved the type; TypeScript cannot follow a table indexed by kind.
  const validate = checks.validate as (spec: unknown, meta: ObjectMeta) => readonly Finding[];
  const status = readStatus(kind, ownField(raw, "status"));
  const object = {
    kind,
    apiVersion: context.apiVersion,
    meta: identity.meta,
    spec,
    ...status,
  } as unknown as MeshObject;
  const untranslated = untranslatedKinds.has(kind) ? [describeUntranslated(kind)] : [];
  const checked = [
    ...checkAnnotations(kind, identity.meta.annotations),
    ...validate(spec, identity.meta),
    ...findUntranslatedFields(kind, spec),
  ];
  return finish(identity.ref, [...identity.findings, ...untranslated, ...findings.all, ...checked], {
    object,
    options: context.options,
  });
}

interface Identity {
  readonly meta: ObjectMeta;
  readonly ref: ObjectRef;
  readonly findings: readonly Finding[];
}

function parseIdentity(raw: unknown, kind: string, isNamespaced: boolean): Identity {
  const findings = createFindings();
  const meta = parseMetadata(raw, isNamespaced, findings);
  return { meta, ref: { kind, namespace: meta.namespace, name: meta.name }, findings: findings.all };
}

/** Kind and version, or what is wrong with them. */
function describeTop(raw: unknown): { readonly apiVersion: string; readonly kind: string } | string {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw))
    return `must be an object with apiVersion and kind, not ${describeType(raw)}`;
  const [apiVersion, kind] = [ownField(raw, "apiVersion"), ownField(raw, "kind")];
  if (typeof kind !== "string" || kind === "") return "has no kind";
  if (typeof apiVersion !== "string" || apiVersion === "") return `has no apiVersion (kind ${kind.slice(0, 100)})`;
  return { apiVersion, kind };
}

function ownField(raw: unknown, name: string): unknown {
  return typeof raw === "object" && raw !== null && Object.hasOwn(raw, name)
    ? (raw as Record<string, unknown>)[name]
    : undefined;
}

function describeUntranslated(kind: string): Finding {
  const text = `kind ${kind} is not translated yet by this version`;
  return { level: "warning", code: "untranslated-kind", path: ["kind"], text };
}

function describeUnreadKind(apiVersion: string, kind: string): Finding {
  const base = { code: "unknown-kind", path: ["kind"] } as const;
  const known = findKindInfo(kind);
  if (known !== undefined && apiVersion.startsWith("gateway.networking.k8s.io/")) {
    return {
      ...base,
      level: "warning",
      code: "untranslated-kind",
      text: `kind ${kind} of ${apiVersion} is not translated yet by this version`,
    };
  }
  if (known !== undefined) {
    const text = `${apiVersion} has no kind ${kind} that is read here, did you mean ${known.versions.join(" or ")}?`;
    return { ...base, level: "error", path: ["apiVersion"], text };
  }
  if (untranslatedKinds.has(kind)) return describeUntranslated(kind);
  if (isBystander(apiVersion, kind))
    return { ...base, level: "info", code: "unused-kind", text: `kind ${kind} has no meaning for the mesh` };
  const nearest = findNearestWord(kind, [...Object.keys(kubeKinds), ...Object.keys(istioKinds), ...untranslatedKinds]);
  const hint = nearest === undefined ? "" : `, did you mean ${nearest}?`;
  return {
    ...base,
    level: "warning",
    text: `unknown kind ${kind.slice(0, 100)} of ${apiVersion.slice(0, 100)}${hint}`,
  };
}

/** The items of a List, with their paths; anything else stands for itself. */
function expand(raw: unknown, prefix: Path, depth: number): readonly (readonly [unknown, Path])[] {
  const [kind, items] = [ownField(raw, "kind"), ownField(raw, "items")];
  const isList = typeof kind === "string" && kind.endsWith("List") && Array.isArray(items);
  if (!isList || depth >= maxListDepth || items.length > maxListItems) return [[raw, prefix]];
  return items.flatMap((item: unknown, index) => expand(item, [...prefix, "items", index], depth + 1));
}

interface Outcome {
  readonly object?: MeshObject;
  readonly options: ParseOptions;
}

function finish(ref: ObjectRef, findings: readonly Finding[], { object, options }: Outcome): ParsedObject {
  const messages = findings.map((finding): Message => {
    const position = options.positionOf?.(finding.path);
    const { level, code, text } = finding;
    return {
      level,
      code,
      object: ref,
      path: formatPath(finding.path),
      text,
      ...(position === undefined ? {} : { position }),
    };
  });
  if (object === undefined || findings.some((finding) => finding.level === "error")) return { ref, messages };
  const position = options.positionOf?.([]);
  return { object: position === undefined ? object : { ...object, position }, ref, messages };
}
