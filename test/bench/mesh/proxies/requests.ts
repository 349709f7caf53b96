/** Requests as a real proxy sends them. The long parts are the same for all proxies and encoded once. */
import { encode } from "@meltemi/protos";
import { encodeText, type NameList } from "./name-list.ts";
import { type ShortType, typeUrls } from "./types.ts";

export interface SotwRequest {
  readonly type: ShortType;
  /** Of the first request of a stream. */
  readonly node: Buffer | undefined;
  readonly version: string;
  readonly nonce: string;
  /** Undefined for everything (clusters and listeners). */
  readonly names: NameList | undefined;
}

export interface DeltaRequest {
  readonly type: ShortType;
  readonly node: Buffer | undefined;
  readonly nonce: string;
  readonly subscribe: NameList | undefined;
  readonly unsubscribe: NameList | undefined;
  /** What is brought along from an earlier stream. */
  readonly versions: Buffer | undefined;
}

/** A node as field 2 of DiscoveryRequest or field 1 of DeltaDiscoveryRequest. */
export function encodeNode(node: object, variant: "sotw" | "delta"): Buffer {
  return Buffer.from(
    variant === "sotw"
      ? encode("envoy.service.discovery.v3.DiscoveryRequest", { node })
      : encode("envoy.service.discovery.v3.DeltaDiscoveryRequest", { node }),
  );
}

/** version_info 1, resource_names 3, type_url 4, response_nonce 5; the parts of one gRPC message. */
export function encodeSotwRequest({ type, node, version, nonce, names }: SotwRequest): readonly Buffer[] {
  const short = [encodeText(4, typeUrls[type])];
  if (version !== "") short.push(encodeText(1, version));
  if (nonce !== "") short.push(encodeText(5, nonce));
  return frame([node, ...short, names?.encoded(3)]);
}

/** type_url 2, resource_names_subscribe 3, _unsubscribe 4, initial_resource_versions 5, response_nonce 6. */
export function encodeDeltaRequest(request: DeltaRequest): readonly Buffer[] {
  const { type, node, nonce, subscribe, unsubscribe, versions } = request;
  const short = [encodeText(2, typeUrls[type])];
  if (nonce !== "") short.push(encodeText(6, nonce));
  return frame([node, ...short, subscribe?.encoded(3), unsubscribe?.encoded(4), versions]);
}

/** Short parts go into one piece with the head; long ones stay as they are. */
function frame(parts: readonly (Buffer | undefined)[]): readonly Buffer[] {
  const filled = parts.filter((part) => part !== undefined && part.length > 0) as readonly Buffer[];
  const head = Buffer.alloc(5);
  head.writeUInt32BE(
    filled.reduce((sum, { length }) => sum + length, 0),
    1,
  );
  const long = filled.filter(({ length }) => length > 4096);
  return [Buffer.concat([head, ...filled.filter(({ length }) => length <= 4096)]), ...long];
}
