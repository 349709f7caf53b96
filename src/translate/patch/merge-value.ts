/** MERGE and its relatives on wire objects. */
import { encodeDynamic, mergeMessages, type TypeName, typeNameOf, typeUrl, unpackAny } from "@meltemi/protos";
import type { Any } from "@meltemi/protos/google/protobuf";
import { patchValueTypes } from "../../api/envoy-filter/patch-value.ts";
import { sourcesOf, withSources } from "../built.ts";
import type { CompiledPatch } from "./compile-filter.ts";

/** True for operations that merge; they differ in what becomes of lists. */
export function isMerge({ operation }: CompiledPatch): boolean {
  return operation === "MERGE" || operation === "MERGE_AND_REPLACE_LIST";
}

/** A part with a patch's value merged in; it remembers who made it what it is. */
export function mergeValue<Part extends object>(part: Part, patch: CompiledPatch): Part {
  const { value = {}, operation, applyTo } = patch;
  const options = { replaceLists: operation === "MERGE_AND_REPLACE_LIST" };
  const merged = mergeMessages(patchValueTypes[applyTo], [part as Fields, value as Fields], options);
  return withPatchSource(merged as Part, { before: part, patch });
}

type Fields = Readonly<Record<string, unknown>>;

/** Notes on a changed part what made it before and what changed it. */
export function withPatchSource<Part extends object>(
  part: Part,
  { before, patch }: { readonly before: object; readonly patch: CompiledPatch },
): Part {
  const known = sourcesOf(before);
  return withSources(part, known.includes(patch.source) ? known : [...known, patch.source]);
}

/**
 * The configuration of an extension with a patch's merged in. Lists are appended whatever the operation. The text says
 * why that cannot be: types differ, or one of them is not known here.
 */
export function mergeAny(into: Any, from: Any): Any | string {
  const [ours, theirs] = [typeNameOf(into.type_url ?? ""), typeNameOf(from.type_url ?? "")];
  if (ours !== theirs) return `holds a configuration of type ${theirs}, but what it is merged into has one of ${ours}`;
  const merged = mergeMessages(ours, [unpackAny(into).message, unpackAny(from).message]);
  return { type_url: typeUrl(ours as TypeName), value: encodeDynamic(ours, merged) };
}

/** A thing with a name and a configuration of its own type: a filter or a transport socket. */
interface NamedConfig {
  readonly name?: string | undefined;
  readonly typed_config?: Any | undefined;
}

/**
 * A filter with a patch's merged in: its configuration as mergeAny, and its name where the patch has one. The text says why
 * that cannot be.
 */
export function mergeNamedConfig<Filter extends NamedConfig>(filter: Filter, patch: CompiledPatch): Filter | string {
  const value = (patch.value ?? {}) as NamedConfig;
  if (filter.typed_config === undefined) return `${filter.name ?? ""} has no configuration to merge into`;
  const name = value.name === undefined || value.name === "" ? filter.name : value.name;
  if (value.typed_config === undefined) return { ...filter, name };
  const merged = mergeAny(filter.typed_config, value.typed_config);
  return typeof merged === "string" ? merged : { ...filter, name, typed_config: merged };
}
