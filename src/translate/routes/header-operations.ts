/** Header changes of routes and destinations. Rules: Istio route.go TranslateHeadersOperations. */

import type { HeaderValueOption } from "@meltemi/protos/envoy/config/core/v3";
import type { HeaderChanges } from "../../api/virtual-service/schema.ts";
import { sortEntries } from "../../lib/text-order.ts";
import { formatHeaderValue } from "./header-value.ts";

/** The fields that routes, weighted clusters and virtual hosts have in common. */
export interface HeaderFields {
  readonly request_headers_to_add?: readonly HeaderValueOption[];
  readonly request_headers_to_remove?: readonly string[];
  readonly response_headers_to_add?: readonly HeaderValueOption[];
  readonly response_headers_to_remove?: readonly string[];
}

const fieldNames = [
  "request_headers_to_add",
  "request_headers_to_remove",
  "response_headers_to_add",
  "response_headers_to_remove",
] as const;

type Headers = NonNullable<HeaderChanges["request"]>;

/** Changes as wire fields. Headers that Envoy keeps to itself (":path", "host" …) are left out. */
export function buildHeaderFields(operations: HeaderChanges | undefined): HeaderFields {
  const { request, response } = operations ?? {};
  return withoutEmpty({
    request_headers_to_add: listAdded(request),
    request_headers_to_remove: listRemoved(request),
    response_headers_to_add: listAdded(response),
    response_headers_to_remove: listRemoved(response),
  });
}

/** The changes of `first`, then those of `second`. */
export function mergeHeaderFields(first: HeaderFields, second: HeaderFields): HeaderFields {
  return withoutEmpty({
    request_headers_to_add: [...(first.request_headers_to_add ?? []), ...(second.request_headers_to_add ?? [])],
    request_headers_to_remove: [
      ...(first.request_headers_to_remove ?? []),
      ...(second.request_headers_to_remove ?? []),
    ],
    response_headers_to_add: [...(first.response_headers_to_add ?? []), ...(second.response_headers_to_add ?? [])],
    response_headers_to_remove: [
      ...(first.response_headers_to_remove ?? []),
      ...(second.response_headers_to_remove ?? []),
    ],
  });
}

/** The host that a change of ":authority" or "host" asks for; what is set comes before what is added. */
export function findHostOverride(operations: HeaderChanges | undefined): string | undefined {
  const { set, add } = operations?.request ?? {};
  for (const headers of [set, add]) {
    const found = Object.entries(headers ?? {}).find(([name, value]) => isHostHeader(name) && value !== "");
    if (found !== undefined) return found[1];
  }
  return undefined;
}

function listAdded(headers: Headers | undefined): readonly HeaderValueOption[] {
  const set = listSorted(headers?.set).map(([key, value]): HeaderValueOption => {
    return { header: { key, value: formatHeaderValue(value) }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" };
  });
  // Appending is what Envoy does where nothing is said.
  const added = listSorted(headers?.add).map(([key, value]): HeaderValueOption => {
    return { header: { key, value: formatHeaderValue(value) } };
  });
  return [...set, ...added];
}

function listRemoved(headers: Headers | undefined): readonly string[] {
  return (headers?.remove ?? []).filter((name) => !isInternalHeader(name));
}

function listSorted(headers: Headers["set"]): readonly (readonly [string, string])[] {
  return sortEntries(Object.entries(headers ?? {}).filter(([name]) => !isInternalHeader(name)));
}

function isInternalHeader(name: string): boolean {
  return name.startsWith(":") || name.toLowerCase() === "host";
}

function isHostHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === ":authority" || lower === "host";
}

function withoutEmpty(fields: HeaderFields): HeaderFields {
  return Object.fromEntries(
    fieldNames.flatMap((name) => ((fields[name]?.length ?? 0) === 0 ? [] : [[name, fields[name]]])),
  );
}
