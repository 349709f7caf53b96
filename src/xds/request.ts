/** From the bytes of a request to an event of the reducers. */
import { decode } from "@meltemi/protos";
import type { Node } from "@meltemi/protos/envoy/config/core/v3";
import type { Status as RpcStatus } from "@meltemi/protos/google/rpc";
import type { HealthReport } from "../model/proxy-connections.ts";
import type { DeltaRequest } from "./delta.ts";
import type { HeldVersions } from "./held-versions.ts";
import type { NameLists } from "./name-lists.ts";
import type { SotwRequest } from "./sotw.ts";
import type { Variant } from "./transport.ts";
import type { ErrorDetail } from "./watch.ts";

/**
 * What agents ask with to tell whether the application beside them is well (row X26). No message of this type is ever
 * sent, and nothing is answered: the request's error says what is wrong.
 */
export const healthTypeUrl = "type.googleapis.com/istio.v1.HealthInformation";

export interface ReceivedRequest {
  readonly typeUrl: string;
  readonly node: Node | undefined;
  readonly event:
    | { readonly variant: "sotw"; readonly request: SotwRequest }
    | { readonly variant: "delta"; readonly request: DeltaRequest };
}

/** Decodes a DiscoveryRequest or a DeltaDiscoveryRequest. Throws `ProtoError` on malformed bytes. */
export function parseRequest(bytes: Uint8Array, variant: Variant, shared: SharedContent): ReceivedRequest {
  const split = shared.lists.split(bytes);
  const { rest, names } = split ?? { rest: bytes, names: undefined };
  return variant === "sotw" ? parseSotw(rest, names) : parseDelta(rest, names, shared.versions);
}

/** What many requests have in common, and is kept once. */
export interface SharedContent {
  readonly lists: NameLists;
  readonly versions: HeldVersions;
}

function parseSotw(bytes: Uint8Array, names: readonly string[] | undefined): ReceivedRequest {
  const message = decode("envoy.service.discovery.v3.DiscoveryRequest", bytes);
  const request: SotwRequest = {
    kind: "request",
    names: names ?? message.resource_names ?? [],
    version: message.version_info ?? "",
    nonce: message.response_nonce ?? "",
    error: parseError(message.error_detail),
  };
  return { typeUrl: message.type_url ?? "", node: message.node, event: { variant: "sotw", request } };
}

function parseDelta(bytes: Uint8Array, names: readonly string[] | undefined, versions: HeldVersions): ReceivedRequest {
  const split = versions.split(bytes);
  const message = decode("envoy.service.discovery.v3.DeltaDiscoveryRequest", split?.rest ?? bytes);
  const request: DeltaRequest = {
    kind: "request",
    subscribe: names ?? message.resource_names_subscribe ?? [],
    unsubscribe: message.resource_names_unsubscribe ?? [],
    brought: split?.held ?? versions.take(message.initial_resource_versions ?? {}),
    nonce: message.response_nonce ?? "",
    error: parseError(message.error_detail),
  };
  return { typeUrl: message.type_url ?? "", node: message.node, event: { variant: "delta", request } };
}

function parseError(detail: RpcStatus | undefined): ErrorDetail | undefined {
  return detail === undefined ? undefined : { code: detail.code ?? 0, message: detail.message ?? "" };
}

/** Reads a request of the type above. */
export function readHealth({ event: { request } }: ReceivedRequest, atMs: number): HealthReport {
  const { error } = request;
  return { isHealthy: error === undefined, message: error?.message.slice(0, maxErrorLength) ?? "", atMs };
}

/** Longest error text of a client that is kept, in characters. */
const maxErrorLength = 2048;

/** A client's text for logs and pages: one line, of limited length. */
export function formatClientError(text: string): string {
  const line = text.slice(0, maxErrorLength).replaceAll("\\", "\\\\").replaceAll("\r", "\\r").replaceAll("\n", "\\n");
  return text.length > maxErrorLength ? `${line}…` : line;
}
