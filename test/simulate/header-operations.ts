/** Headers that routes set and take away (HeaderValueOption of Envoy's API). */
import type { HeaderValueOption } from "@meltemi/protos/envoy/config/core/v3";

/** One level that may change headers: destination, route, virtual host or the whole route configuration. */
export interface HeaderLevel {
  readonly request_headers_to_add?: readonly HeaderValueOption[] | undefined;
  readonly request_headers_to_remove?: readonly string[] | undefined;
  readonly response_headers_to_add?: readonly HeaderValueOption[] | undefined;
  readonly response_headers_to_remove?: readonly string[] | undefined;
}

/**
 * Applies the levels in their order, removals of a level before its additions (HeaderParser). Substitutions
 * such as %START_TIME% stay as they are written, "%%" becomes one percent sign.
 */
export function changeHeaders(
  headers: ReadonlyMap<string, string>,
  levels: readonly HeaderLevel[],
  direction: "request" | "response",
): ReadonlyMap<string, string> {
  const result = new Map(headers);
  for (const level of levels) {
    for (const name of level[`${direction}_headers_to_remove`] ?? []) result.delete(name.toLowerCase());
    for (const option of level[`${direction}_headers_to_add`] ?? []) applyOption(result, option);
  }
  return result;
}

/** Names that the levels take away, in order. */
export function listRemoved(levels: readonly HeaderLevel[], direction: "request" | "response"): readonly string[] {
  return levels.flatMap((level) => level[`${direction}_headers_to_remove`] ?? []);
}

function applyOption(headers: Map<string, string>, option: HeaderValueOption): void {
  const name = (option.header?.key ?? "").toLowerCase();
  const value = (option.header?.value ?? "").replaceAll("%%", "%");
  if (value === "" && option.keep_empty_value !== true) return;
  const before = headers.get(name);
  switch (findAction(option)) {
    case "APPEND_IF_EXISTS_OR_ADD":
      headers.set(name, before === undefined ? value : `${before},${value}`);
      return;
    case "ADD_IF_ABSENT":
      if (before === undefined) headers.set(name, value);
      return;
    case "OVERWRITE_IF_EXISTS":
      if (before !== undefined) headers.set(name, value);
      return;
    case "OVERWRITE_IF_EXISTS_OR_ADD":
      headers.set(name, value);
  }
}

/** The deprecated flag, where it is there, decides: absent it would be true. */
function findAction({ append, append_action }: HeaderValueOption): NonNullable<HeaderValueOption["append_action"]> {
  if (append !== undefined) return append.value === true ? "APPEND_IF_EXISTS_OR_ADD" : "OVERWRITE_IF_EXISTS_OR_ADD";
  return append_action ?? "APPEND_IF_EXISTS_OR_ADD";
}
