/** Responses of a control plane, as updates. A resource that cannot be read does not stand in the way of the others. */

import { freeBytes } from "@meltemi/http2/free-bytes";
import { concatBytes, decode, listFields, listFieldsOf, typeNameOf } from "@meltemi/protos";
import type { DeltaDiscoveryResponse, DiscoveryResponse, Resource } from "@meltemi/protos/envoy/service/discovery/v3";
import type { Any } from "@meltemi/protos/google/protobuf";
import type { Turns } from "../lib/turns.ts";
import { ByteBlocks } from "./byte-blocks.ts";
import type { ResourceType } from "./resource-types.ts";
import type { ReceivedResource, ResourceUpdate, UnreadableResource } from "./resource-update.ts";

/** A response of either form, before its resources are looked at. */
export interface Response {
  readonly typeName: string;
  readonly nonce: string;
  readonly version: string;
  readonly controlPlane: string;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
  /** Says that the resource at `index` and those before it were read: what was kept was copied, their memory is given back. */
  readonly release?: ((index: number) => void) | undefined;
}

const wrapperType = "envoy.service.discovery.v3.Resource";
/** Number of the field `resources`, in both forms. */
const resourcesField = 2;
/** Number of the field that holds the name, in resources of all types. */
const nameNumber = 1;

/** Throws ProtoError for bytes that are no DiscoveryResponse. */
export function readSotwResponse(bytes: Uint8Array): Response {
  return openSotw(decode("envoy.service.discovery.v3.DiscoveryResponse", bytes));
}

/**
 * Reads a response, which comes in pieces, in slices: it may have tens of megabytes, in thousands of resources. Rejects with
 * ProtoError for bytes that are no response.
 */
export async function readResponse(
  pieces: readonly Uint8Array[],
  { isDelta, turns }: { readonly isDelta: boolean; readonly turns: Turns },
): Promise<Response> {
  const head: Uint8Array[] = [];
  const resources: Resource[] = [];
  const memory = new PieceMemory(pieces);
  for (const { number, whole, content } of listFieldsOf(pieces)) {
    if (number !== resourcesField || content === undefined) head.push(whole);
    else {
      memory.note(content, resources.length);
      resources.push(isDelta ? decode(wrapperType, content) : { resource: decode("google.protobuf.Any", content) });
    }
    if (turns.isOver) await turns.next();
  }
  const rest = concatBytes(head);
  const release = (index: number): void => memory.release(index);
  if (isDelta) {
    return {
      ...openDelta({ ...decode("envoy.service.discovery.v3.DeltaDiscoveryResponse", rest), resources }),
      release,
    };
  }
  const message = openSotw(decode("envoy.service.discovery.v3.DiscoveryResponse", rest));
  const { version } = message;
  return { ...message, resources: resources.map((resource) => ({ ...resource, version })), release };
}

/** The memory of a message, each piece of which is given back when the last resource in it was read. */
class PieceMemory {
  readonly #pieces: readonly Uint8Array[];
  /** Index of the last resource that is a view into it; none where all are in other pieces. */
  readonly #lastIn = new Map<ArrayBufferLike, number>();
  #released = 0;

  constructor(pieces: readonly Uint8Array[]) {
    this.#pieces = pieces;
  }

  note(view: Uint8Array, index: number): void {
    this.#lastIn.set(view.buffer, index);
  }

  /** Resources lie in their order. */
  release(index: number): void {
    for (; this.#released < this.#pieces.length; this.#released += 1) {
      const piece = this.#pieces[this.#released];
      if (piece === undefined || (this.#lastIn.get(piece.buffer) ?? -1) > index) return;
      freeBytes(piece);
    }
  }
}

function openSotw(message: DiscoveryResponse): Response {
  const version = message.version_info ?? "";
  return {
    typeName: typeNameOf(message.type_url ?? ""),
    nonce: message.nonce ?? "",
    version,
    controlPlane: message.control_plane?.identifier ?? "",
    resources: (message.resources ?? []).map((resource) => ({ resource, version })),
    removed: [],
  };
}

function openDelta(message: DeltaDiscoveryResponse): Response {
  const names = (message.removed_resource_names ?? []).flatMap(({ name }) => name ?? []);
  return {
    typeName: typeNameOf(message.type_url ?? ""),
    nonce: message.nonce ?? "",
    version: message.system_version_info ?? "",
    controlPlane: message.control_plane?.identifier ?? "",
    resources: message.resources ?? [],
    removed: [...(message.removed_resources ?? []), ...names],
  };
}

/** What may spare work: both are empty where nothing is known. */
export interface Earlier {
  /** Names that are in use, of which a whole set may leave some out. */
  readonly known: Iterable<string>;
  /** Resources of the response before: most of a state of the world comes again as it was. */
  readonly resources: readonly ReceivedResource[];
}

export const nothingEarlier: Earlier = { known: [], resources: [] };

/** Reads the resources of a response. */
export function readUpdate(type: ResourceType, response: Response, earlier: Earlier): ResourceUpdate {
  const reader = new UpdateReader(type, response, earlier);
  for (const [index, wire] of response.resources.entries()) reader.take(index, wire);
  return reader.finish();
}

/** The same in slices: responses may have tens of megabytes. */
export async function readUpdateInTurns(
  reader: UpdateReader,
  resources: readonly Resource[],
  turns: Turns,
): Promise<ResourceUpdate> {
  for (const [index, wire] of resources.entries()) {
    reader.take(index, wire);
    if (turns.isOver) await turns.next();
  }
  return reader.finish();
}

/** Reads a response, one resource after the other. */
export class UpdateReader {
  readonly #type: ResourceType;
  readonly #response: Response;
  readonly #known: Iterable<string>;
  readonly #find: FindEarlier;
  readonly #blocks = new ByteBlocks();
  readonly #resources = new Map<string, ReceivedResource>();
  readonly #unreadable: UnreadableResource[] = [];

  constructor(type: ResourceType, response: Response, earlier: Earlier) {
    this.#type = type;
    this.#response = response;
    this.#known = earlier.known;
    this.#find = createFinder(earlier.resources);
  }

  take(index: number, wire: Resource): void {
    // Without a resource it only says that the one that is there is still good.
    if (wire.resource === undefined) return;
    const type = this.#type;
    const place = `resource ${index} (${type.shortName})`;
    try {
      const resource = readResource(type, wire, { find: this.#find, blocks: this.#blocks });
      const { name } = resource;
      if (name === "") this.#unreadable.push({ name: undefined, place, reason: `${type.nameField}: is required` });
      else if (this.#resources.has(name)) {
        this.#unreadable.push({ name, place, reason: `duplicate ${type.shortName} ${name}` });
      } else this.#resources.set(name, resource);
    } catch (cause: unknown) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#unreadable.push({ name: wire.name, place, reason });
    }
    this.#response.release?.(index);
  }

  finish(): ResourceUpdate {
    // Also what no resource was read from: names that are gone, and resources that are only said to be good still.
    this.#response.release?.(Number.POSITIVE_INFINITY);
    const [resources, unreadable] = [this.#resources, this.#unreadable];
    const isNamed = unreadable.every(({ name }) => name !== undefined);
    const there = new Set([...resources.keys(), ...unreadable.map(({ name }) => name)]);
    const { version, removed: stated } = this.#response;
    // Where a name cannot be read, none can be said to be missing.
    const gone = isNamed ? [...stated, ...this.#known] : stated;
    const removed = [...new Set(gone)].filter((name) => !there.has(name));
    return { version, resources: [...resources.values()], removed, unreadable };
  }
}

type FindEarlier = (bytes: Uint8Array) => ReceivedResource | undefined;

/** Finds equal bytes at the place where they are to be expected: few resources come, go or change at once. */
function createFinder(resources: readonly ReceivedResource[]): FindEarlier {
  let place = 0;
  return (bytes) => {
    for (const next of [place, place + 1]) {
      const candidate = resources[next];
      if (candidate === undefined || Buffer.compare(candidate.bytes, bytes) !== 0) continue;
      place = next + 1;
      return candidate;
    }
    return undefined;
  };
}

interface Keeping {
  readonly find: FindEarlier;
  readonly blocks: ByteBlocks;
}

function readResource(type: ResourceType, wire: Resource, { find, blocks }: Keeping): ReceivedResource {
  const { resource, version, name } = unwrap(wire);
  const typeName = typeNameOf(resource.type_url ?? "");
  if (typeName !== type.typeName) throw new Error(`is a ${typeName || "message without a type"}`);
  const value = resource.value ?? new Uint8Array();
  const earlier = find(value);
  if (earlier !== undefined) return { ...earlier, version };
  // A copy: what is kept of one resource must not keep the whole response.
  const bytes = blocks.copy(value);
  return { name: readName(bytes) || name, version, typeName: type.typeName, bytes };
}

/** Throws ProtoError for bytes that are no message at all. */
function readName(bytes: Uint8Array): string {
  let name: Uint8Array | undefined;
  for (const { number, content } of listFields(bytes)) if (number === nameNumber) name = content;
  return name === undefined ? "" : Buffer.from(name.buffer, name.byteOffset, name.length).toString();
}

/** State of the world may wrap its resources, too. */
function unwrap(wire: Resource): { readonly resource: Any; readonly version: string; readonly name: string } {
  const { resource = {}, version = "", name = "" } = wire;
  if (typeNameOf(resource.type_url ?? "") !== wrapperType) return { resource, version, name };
  const inner = decode(wrapperType, resource.value ?? new Uint8Array());
  return { resource: inner.resource ?? {}, version: inner.version || version, name: inner.name ?? "" };
}
