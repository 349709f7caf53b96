/** Headers that routes, virtual hosts and route tables add to messages and remove from them. */

import type { HeaderValueOption, HeaderValueOption_HeaderAppendAction } from "@meltemi/protos/envoy/config/core/v3";
import type { LogEntry } from "../access-log/types.ts";
import { compileSubstitution } from "../formatter/compile-format.ts";
import type { FormatOptions } from "../formatter/types.ts";
import type { Exchange } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";

/** What one level of configuration does to the headers of a message. `entry` is what formats read. */
export type HeaderMutation = (headers: HeaderList, entry: LogEntry) => void;

interface AddedHeader {
  readonly name: string;
  readonly action: HeaderValueOption_HeaderAppendAction;
  readonly keepsEmpty: boolean;
  readonly format: string | ((entry: LogEntry) => string);
}

/** Undefined where there is nothing to do. Throws ConfigError. */
export function compileHeaderMutation(
  add: readonly HeaderValueOption[] | undefined,
  remove: readonly string[] | undefined,
  kind: "request" | "response",
  options: FormatOptions = {},
): HeaderMutation | undefined {
  const added = compileAll(`${kind}_headers_to_add`, add, (wire) => compileAddedHeader(wire, options));
  const removed = compileAll(`${kind}_headers_to_remove`, remove, checkName);
  if (added.length === 0 && removed.length === 0) return undefined;
  return (headers, entry) => {
    for (const name of removed) headers.remove(name);
    if (added.length > 0) addHeaders(headers, added, entry);
  };
}

/** What formats read of a request that is under way, and of the head of its answer where there is one. */
export function entryOf({ info, request, route, span }: Exchange, responseHeaders?: HeaderList): LogEntry {
  return { info, request, responseHeaders, routeMetadata: route?.metadata, span };
}

/** All of the mutations in order. */
export function runMutations(mutations: readonly HeaderMutation[], headers: HeaderList, entry: LogEntry): void {
  for (const mutation of mutations) mutation(headers, entry);
}

function compileAddedHeader(wire: HeaderValueOption, options: FormatOptions): AddedHeader {
  const { key = "", value = "" } = wire.header ?? {};
  const name = within("header.key", () => checkName(key));
  if (
    wire.append !== undefined &&
    wire.append_action !== undefined &&
    wire.append_action !== "APPEND_IF_EXISTS_OR_ADD"
  ) {
    throw new ConfigError("append_action", "is not allowed together with append");
  }
  const byAppend = wrappedBool(wire.append, false) ? "APPEND_IF_EXISTS_OR_ADD" : "OVERWRITE_IF_EXISTS_OR_ADD";
  return {
    name,
    action: wire.append === undefined ? (wire.append_action ?? "APPEND_IF_EXISTS_OR_ADD") : byAppend,
    keepsEmpty: wire.keep_empty_value === true,
    format: within("header.value", () => compileValue(value, options)),
  };
}

/** Pseudo headers and Host have their own rules in routes, and may not be changed here. */
function checkName(name: string): string {
  const lower = name.toLowerCase();
  if (lower === "") throw new ConfigError("", "must not be empty");
  if (lower.startsWith(":") || lower === "host") {
    throw new ConfigError("", `"${name}": ":"-prefixed or host headers may not be changed`);
  }
  return lower;
}

function compileValue(value: string, options: FormatOptions): AddedHeader["format"] {
  if (!value.includes("%")) return value;
  return compileSubstitution({ text_format: value, omit_empty_values: true }, options);
}

/** All values are made from the headers as they were, then those that replace are set, then the others are added. */
function addHeaders(headers: HeaderList, added: readonly AddedHeader[], entry: LogEntry): void {
  const appended: string[] = [];
  const replaced: string[] = [];
  for (const { name, action, keepsEmpty, format } of added) {
    const value = typeof format === "string" ? format : format(entry);
    if ((value === "" && !keepsEmpty) || !isWanted(action, headers.has(name))) continue;
    (action.startsWith("OVERWRITE") ? replaced : appended).push(name, value);
  }
  for (let index = 0; index < replaced.length; index += 2)
    headers.set(replaced[index] ?? "", replaced[index + 1] ?? "");
  for (let index = 0; index < appended.length; index += 2)
    append(headers, appended[index] ?? "", appended[index + 1] ?? "");
}

/** Headers that Envoy keeps as one value: what is added comes behind a comma, in the same line. */
const single = new Set([
  ...[
    "accept",
    "accept-encoding",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-type",
    "etag",
    "expect",
  ],
  ...["grpc-timeout", "origin", "referer", "server", "te", "user-agent", "vary", "via", "x-forwarded-client-cert"],
  ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"],
]);

function append(headers: HeaderList, name: string, value: string): void {
  const known = single.has(name) ? headers.get(name) : undefined;
  if (known === undefined) headers.append(name, value);
  else headers.set(name, `${known},${value}`);
}

function isWanted(action: HeaderValueOption_HeaderAppendAction, isThere: boolean): boolean {
  if (action === "ADD_IF_ABSENT") return !isThere;
  return action !== "OVERWRITE_IF_EXISTS" || isThere;
}
