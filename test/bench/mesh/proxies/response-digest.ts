/** What a simulated proxy keeps of a response: made once for all proxies that get the same bytes. */

import type { HeldResource } from "./holding.ts";
import { findShortType, type ShortType, type Variant } from "./types.ts";
import { type FieldRange, findField, listAtPath, readText, visitFields } from "./wire-fields.ts";

/** Bytes whose arrival in a response of some kind is waited for. */
export interface Marker {
  readonly id: number;
  readonly type: ShortType;
  readonly bytes: Buffer;
}

export interface ResponseDigest {
  /** The same for responses that change what a proxy has in the same way. */
  readonly key: string;
  readonly type: ShortType;
  readonly version: string;
  readonly nonce: string;
  /** Position of the nonce's field in the message. */
  readonly nonceAt: number;
  readonly resourceCount: number;
  /** By name; of load assignments and routes in the state of the world nothing is kept. */
  readonly resources: ReadonlyMap<string, HeldResource>;
  readonly removed: readonly string[];
  /** Ids of the markers that are in it. */
  readonly markers: readonly number[];
}

const [versionField, resourcesField, typeUrlField, nonceField, removedField] = [1, 2, 4, 5, 6];

let nextKey = 1;

/** Reads an encoded DiscoveryResponse or DeltaDiscoveryResponse; undefined for a kind that nobody asked for. */
export function readDigest(bytes: Buffer, variant: Variant, markers: Iterable<Marker>): ResponseDigest | undefined {
  const texts = new Map<number, string>();
  const resources: FieldRange[] = [];
  const removed: string[] = [];
  let nonceAt = 0;
  let end = 0;
  visitFields(
    bytes,
    { start: 0, end: bytes.length },
    {
      onBytes: (range) => {
        if (range.field === resourcesField) resources.push(range);
        else if (range.field === removedField && variant === "delta") removed.push(readText(bytes, range));
        else texts.set(range.field, readText(bytes, range));
        // The nonce comes straight after the field before it: one byte for its tag.
        if (range.field === nonceField) nonceAt = end;
        end = range.end;
      },
    },
  );
  const type = findShortType(texts.get(typeUrlField) ?? "");
  if (type === undefined) return undefined;
  const kept = new Map(variant === "sotw" ? listSotw(bytes, type, resources) : listDelta(bytes, type, resources));
  return {
    key: formatKey(type, kept, removed),
    type,
    version: texts.get(versionField) ?? "",
    nonce: texts.get(nonceField) ?? "",
    nonceAt,
    resourceCount: resources.length,
    resources: kept,
    removed,
    markers: [...markers].filter((marker) => marker.type === type && bytes.includes(marker.bytes)).map(({ id }) => id),
  };
}

/** Larger changes are told apart by number. */
const mostInKey = 20;

function formatKey(type: ShortType, kept: ReadonlyMap<string, HeldResource>, removed: readonly string[]): string {
  if (kept.size + removed.length > mostInKey) return String(nextKey++);
  return JSON.stringify([type, [...kept], removed]);
}

type Entry = readonly [string, HeldResource];

function listSotw(bytes: Buffer, type: ShortType, resources: readonly FieldRange[]): readonly Entry[] {
  if (type !== "cds" && type !== "lds") return [];
  return resources.map((range, index) => [String(index), { version: "", refs: listRefs(bytes, type, range) }]);
}

/** envoy.service.discovery.v3.Resource: version 1, resource 2, name 3. */
function listDelta(bytes: Buffer, type: ShortType, resources: readonly FieldRange[]): readonly Entry[] {
  return resources.map((range) => {
    const any = findField(bytes, range, 2);
    const refs = any === undefined ? [] : listRefs(bytes, type, any);
    return [
      readText(bytes, findField(bytes, range, 3)),
      { version: readText(bytes, findField(bytes, range, 1)), refs },
    ];
  });
}

/** What a resource, packed into an Any, leads to. */
function listRefs(bytes: Buffer, type: ShortType, any: FieldRange): readonly string[] {
  const value = findField(bytes, any, 2);
  if (value === undefined) return [];
  if (type === "cds") return listAssignments(bytes, value);
  return type === "lds" ? listRouteNames(bytes, value) : [];
}

/** envoy.config.cluster.v3.Cluster: name 1, type 2 (3 stands for EDS), eds_cluster_config 3 with service_name 2. */
function listAssignments(bytes: Buffer, cluster: FieldRange): readonly string[] {
  let isEds = false;
  let name = "";
  let serviceName = "";
  visitFields(bytes, cluster, {
    onNumber: ({ field, value }) => {
      if (field === 2) isEds = value === 3;
    },
    onBytes: (range) => {
      if (range.field === 1) name = readText(bytes, range);
      if (range.field === 3) serviceName = readText(bytes, findField(bytes, range, 2));
    },
  });
  return isEds ? [serviceName === "" ? name : serviceName] : [];
}

/** Listener: filter_chains 3 and default_filter_chain 25, each with filters 3 whose typed_config is 4. */
const filterPaths = [
  [3, 3, 4],
  [25, 3, 4],
];

/** HttpConnectionManager: rds 3 with route_config_name 2. */
function listRouteNames(bytes: Buffer, listener: FieldRange): readonly string[] {
  return filterPaths
    .flatMap((path) => listAtPath(bytes, listener, path))
    .filter((any) => readText(bytes, findField(bytes, any, 1)).endsWith(".HttpConnectionManager"))
    .flatMap((any) => listAtPath(bytes, any, [2, 3, 2]))
    .map((range) => readText(bytes, range));
}
