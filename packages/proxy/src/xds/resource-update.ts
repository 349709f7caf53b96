/** What came of one type, from whichever source, and who takes it. */
import { decodeDynamic, type TypeName } from "@meltemi/protos";
import type { Rejection } from "./subscription-state.ts";

/**
 * A resource as it came. It is decoded when it is used, one at a time: thousands of messages that live until the last of
 * them is checked would all be copied by the collector, while requests wait.
 */
export interface ReceivedResource {
  readonly name: string;
  readonly version: string;
  readonly typeName: TypeName;
  /** The encoded message: equal bytes are an equal resource. */
  readonly bytes: Uint8Array;
}

export type ResourceMessage = Readonly<Record<string, unknown>>;

/** Throws ProtoError for bytes that are no such message. */
export function decodeResource({ typeName, bytes }: Pick<ReceivedResource, "typeName" | "bytes">): ResourceMessage {
  return decodeDynamic(typeName, bytes);
}

export interface ResourceUpdate {
  /** Of the response as a whole. */
  readonly version: string;
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
  /** Could not even be read; their names where those are known. */
  readonly unreadable: readonly UnreadableResource[];
}

export interface UnreadableResource {
  readonly name: string | undefined;
  /** "resource 3 (Listener)". */
  readonly place: string;
  readonly reason: string;
}

/** Takes resources of one type. */
export interface ResourceHandler {
  /** Uses what can be used; the result are those that cannot. Never rejects. */
  apply(update: ResourceUpdate): Promise<readonly Rejection[]>;
  /** Something was asked for. */
  attempted?(): void;
  /** The source broke down; it is tried again by itself. */
  failed?(): void;
  /** A response was dealt with as a whole. */
  settled?(version: string, isRejected: boolean): void;
}

/** One handler's interest in a type at one source. */
export interface Subscription {
  /** "*" for the whole set. */
  want(names: "*" | Iterable<string>): void;
  close(): void;
}
