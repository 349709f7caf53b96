/**
 * Merging of a root route with the routes of its delegate (Istio: pilot/pkg/model/virtualservice.go). A merged match must
 * be within both; a route of the delegate that has a match outside of the root's is left out.
 */
import type { HttpMatch, HttpRoute, StringMatch } from "../api/virtual-service/schema.ts";

/** Routes of the delegate as they apply under the root route; those that conflict with it are left out. */
export function mergeDelegate(root: HttpRoute, delegated: readonly HttpRoute[]): readonly HttpRoute[] {
  return delegated.flatMap((route) => {
    const matches = mergeMatches(root.match ?? [], route.match ?? []);
    if (matches === undefined) return [];
    const { delegate: _, match: __, route: ___, redirect: ____, ...inherited } = root;
    const { match: _____, ...own } = route;
    const name = joinNames(root.name, route.name);
    return [
      {
        // What the delegate says wins field by field; the rest comes from the root.
        ...inherited,
        ...own,
        ...(matches.length > 0 && { match: matches }),
        ...(name !== "" && { name }),
      },
    ];
  });
}

/** Positions of the delegate's routes that conflict with the root route and are left out. */
export function listConflicts(root: HttpRoute, delegated: readonly HttpRoute[]): readonly number[] {
  return delegated.flatMap((route, index) =>
    mergeMatches(root.match ?? [], route.match ?? []) === undefined ? [index] : [],
  );
}

/** All matches that hold for both; undefined where one of the delegate's is within none of the root's. */
function mergeMatches(root: readonly HttpMatch[], delegated: readonly HttpMatch[]): readonly HttpMatch[] | undefined {
  if (root.length === 0) return delegated;
  if (delegated.length === 0) return root;
  const merged: HttpMatch[] = [];
  for (const inner of delegated) {
    const outer = root.filter((match) => !isConflict(match, inner));
    if (outer.length === 0) return undefined;
    merged.push(...outer.map((match) => mergeMatch(match, inner)));
  }
  return merged;
}

function mergeMatch(root: HttpMatch, inner: HttpMatch): HttpMatch {
  const name = joinNames(root.name, inner.name);
  return {
    ...root,
    ...withoutZeros(inner),
    ...(name !== "" && { name }),
    ...mergeMap("headers", root, inner),
    ...mergeMap("withoutHeaders", root, inner),
    ...mergeMap("queryParams", root, inner),
    ...((root.sourceLabels ?? inner.sourceLabels) && {
      sourceLabels: { ...root.sourceLabels, ...inner.sourceLabels },
    }),
  };
}

/** What says nothing, though it is written down, leaves the root's value in place. */
function withoutZeros(match: HttpMatch): HttpMatch {
  const { port = 0, gateways = [], sourceNamespace = "", statPrefix = "", ...rest } = match;
  return {
    ...rest,
    ...(port !== 0 && { port }),
    ...(gateways.length > 0 && { gateways }),
    ...(sourceNamespace !== "" && { sourceNamespace }),
    ...(statPrefix !== "" && { statPrefix }),
  };
}

type MapField = "headers" | "withoutHeaders" | "queryParams";

function mergeMap(field: MapField, root: HttpMatch, inner: HttpMatch): Pick<HttpMatch, MapField> {
  if (root[field] === undefined && inner[field] === undefined) return {};
  return { [field]: { ...root[field], ...inner[field] } };
}

const textFields = ["uri", "scheme", "method", "authority"] as const;

function isConflict(root: HttpMatch, inner: HttpMatch): boolean {
  return (
    textFields.some((field) => isTextConflict(root[field], inner[field])) ||
    isMapConflict(root.headers, inner.headers) ||
    isMapConflict(root.withoutHeaders, inner.withoutHeaders) ||
    isMapConflict(root.queryParams, inner.queryParams) ||
    (root.ignoreUriCase ?? false) !== (inner.ignoreUriCase ?? false) ||
    ((root.port ?? 0) > 0 && (inner.port ?? 0) > 0 && root.port !== inner.port) ||
    isSourceConflict(root, inner)
  );
}

function isMapConflict(root: HttpMatch["headers"], inner: HttpMatch["headers"]): boolean {
  return Object.entries(inner ?? {}).some(([name, match]) => isTextConflict(root?.[name], match));
}

/** Conditions on the sender: a namespace of the root has to be repeated, labels and gateways may be narrowed. */
function isSourceConflict(root: HttpMatch, inner: HttpMatch): boolean {
  if (root.sourceNamespace && inner.sourceNamespace !== root.sourceNamespace) return true;
  const labels = Object.entries(inner.sourceLabels ?? {});
  if (labels.some(([name, value]) => (root.sourceLabels?.[name] ?? value) !== value)) return true;
  const [outer = [], own = []] = [root.gateways, inner.gateways];
  return outer.length > 0 && (own.length > outer.length || own.some((gateway) => !outer.includes(gateway)));
}

/**
 * True where `inner` is not known to be within `root`: expressions, and matches that only ask for presence, cannot be
 * compared, so that they always conflict.
 */
function isTextConflict(root: StringMatch | undefined, inner: StringMatch | undefined): boolean {
  if (root === undefined || inner === undefined) return false;
  if (root.regex || inner.regex) return true;
  if (root.exact) return inner.exact !== root.exact;
  const value = inner.exact || inner.prefix;
  return !root.prefix || !value?.startsWith(root.prefix);
}

function joinNames(root: string | undefined, inner: string | undefined): string {
  return [root, inner].filter((name) => name !== undefined && name !== "").join("-");
}
