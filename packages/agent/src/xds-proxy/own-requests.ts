/** What the agent asks and answers on the proxy's stream on its own behalf: the table of names, and health. */
import { decode, encode, typeUrl, unpackAs } from "@meltemi/protos";
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import type { Variant } from "./envelope.ts";

export const listenerType = typeUrl("envoy.config.listener.v3.Listener");
export const nameTableType = typeUrl("istio.networking.nds.v1.NameTable");
/** Not a message of protobuf: requests of this type say by their error whether the application is well. */
const healthType = "type.googleapis.com/istio.v1.HealthInformation";

/** What the application's readiness probe says, for workloads outside Kubernetes. */
export type HealthReport = { readonly isHealthy: true } | { readonly isHealthy: false; readonly message: string };

interface OwnRequest {
  readonly type: string;
  /** Of the response that this answers. */
  readonly version?: string;
  readonly nonce?: string;
  /** Why it is refused, or what ails the application. */
  readonly error?: string;
}

const internalError = 13;

function encodeRequest(variant: Variant, { type, version = "", nonce = "", error }: OwnRequest): Uint8Array {
  const message = {
    type_url: type,
    response_nonce: nonce,
    ...(error === undefined ? {} : { error_detail: { code: internalError, message: error } }),
  };
  return variant === "sotw"
    ? encode("envoy.service.discovery.v3.DiscoveryRequest", { ...message, version_info: version })
    : encode("envoy.service.discovery.v3.DeltaDiscoveryRequest", message);
}

export function encodeNameTableRequest(variant: Variant): Uint8Array {
  return encodeRequest(variant, { type: nameTableType });
}

export function encodeHealth(variant: Variant, report: HealthReport): Uint8Array {
  return encodeRequest(variant, { type: healthType, ...(report.isHealthy ? {} : { error: report.message }) });
}

/**
 * Hands the table in a response to `take`, and gives the acknowledgement; where the table cannot be read or `take` throws,
 * the refusal. A response without a table changes nothing, as with Istio's agent.
 */
export function answerNameTable(variant: Variant, bytes: Uint8Array, take: (table: NameTable) => void): Uint8Array {
  let [version, nonce] = ["", ""];
  try {
    const response = variant === "sotw" ? readSotw(bytes) : readDelta(bytes);
    [version, nonce] = [response.version, response.nonce];
    if (response.table !== undefined) take(response.table);
    return encodeRequest(variant, { type: nameTableType, version, nonce });
  } catch (cause: unknown) {
    const error = cause instanceof Error ? cause.message : String(cause);
    return encodeRequest(variant, { type: nameTableType, nonce, error });
  }
}

interface NameTableResponse {
  readonly version: string;
  readonly nonce: string;
  readonly table: NameTable | undefined;
}

function readSotw(bytes: Uint8Array): NameTableResponse {
  const response = decode("envoy.service.discovery.v3.DiscoveryResponse", bytes);
  const { version_info: version = "", nonce = "", resources: [first] = [] } = response;
  return { version, nonce, table: first && unpackAs("istio.networking.nds.v1.NameTable", first) };
}

function readDelta(bytes: Uint8Array): NameTableResponse {
  const response = decode("envoy.service.discovery.v3.DeltaDiscoveryResponse", bytes);
  const { nonce = "", resources: [first] = [] } = response;
  const packed = first?.resource;
  return { version: "", nonce, table: packed && unpackAs("istio.networking.nds.v1.NameTable", packed) };
}
