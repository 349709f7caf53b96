/**
 * Encoded responses, each made once for all streams that are to get the same content. The nonce is part of the bytes:
 * it counts encodings, so it is equal for streams that share a response, and it always grows, so a stream that has seen
 * a nonce can tell that a kept response is older than that and has a new one made.
 */
import { encodeDeltaDiscoveryResponse, encodeDiscoveryResponse } from "@meltemi/protos";
import { textHash } from "../lib/hash.ts";
import type { EncodedResource } from "./encode.ts";
import { findInSet, listSet, type ResourceSet, type Versioned } from "./resource-set.ts";

export interface ResponseContent {
  readonly variant: "sotw" | "delta";
  readonly typeUrl: string;
  readonly target: ResourceSet;
  /** Names of `target` to send; undefined for all. */
  readonly names: readonly string[] | undefined;
  /** Names that are not there (delta). */
  readonly removed: readonly string[];
}

export interface EncodedResponse {
  readonly bytes: Uint8Array;
  readonly nonce: string;
  /** Grows with every encoding of this process. */
  readonly serial: number;
  readonly resourceCount: number;
}

export class ResponseEncoder {
  readonly #instanceId: string;
  readonly #controlPlane: string;
  #serial = 0;
  #kept = new WeakMap<ResourceSet, Map<string, EncodedResponse>>();

  /**
   * `instanceId` makes nonces differ from those of other processes and earlier runs; `controlPlane` is the identifier
   * that every response carries.
   */
  constructor(instanceId: string, controlPlane: string) {
    this.#instanceId = instanceId;
    this.#controlPlane = controlPlane;
  }

  /** The response with a serial greater than `after`, shared with all who ask for the same content. */
  encode(content: ResponseContent, after: number): EncodedResponse {
    let ofTarget = this.#kept.get(content.target);
    if (ofTarget === undefined) {
      ofTarget = new Map();
      this.#kept.set(content.target, ofTarget);
    }
    const key = formatContentKey(content);
    const known = ofTarget.get(key);
    if (known !== undefined && known.serial > after) return known;
    const encoded = this.#encode(content);
    ofTarget.set(key, encoded);
    return encoded;
  }

  /** Lets go of the bytes; for when nobody is being written to. */
  forget(): void {
    this.#kept = new WeakMap();
  }

  #encode(content: ResponseContent): EncodedResponse {
    this.#serial += 1;
    const serial = this.#serial;
    const nonce = `${this.#instanceId}-${serial.toString(36)}`;
    const { target, typeUrl, names } = content;
    const found = names === undefined ? listSet(target) : names.flatMap((name) => findInSet(target, name) ?? []);
    const resources = [...found].filter(isEncoded);
    const head = { typeUrl, nonce, controlPlane: this.#controlPlane };
    const bytes =
      content.variant === "sotw"
        ? encodeDiscoveryResponse(
            { ...head, version: target.version },
            resources.map(({ sotwFrame }) => sotwFrame),
          )
        : encodeDeltaDiscoveryResponse(
            { ...head, systemVersion: target.version, removedNames: content.removed },
            resources.map(({ deltaFrame }) => deltaFrame),
          );
    return { bytes, nonce, serial, resourceCount: resources.length };
  }
}

/** Responses around one set differ in variant, type (an empty set may be that of two types), and names. */
function formatContentKey({ variant, typeUrl, names, removed }: ResponseContent): string {
  return `${variant} ${typeUrl} ${names === undefined ? "all" : hashNames(names)} ${hashNames(removed)}`;
}

function hashNames(names: readonly string[]): string {
  return names.length === 0
    ? "0"
    : `${names.length}-${textHash(names.map((name) => `${name.length}:${name}`).join(""))}`;
}

/** False for what a client brought along and the mesh no longer has: it is kept for a while and never sent. */
export function isEncoded(resource: Versioned): resource is EncodedResource {
  return "sotwFrame" in resource;
}
