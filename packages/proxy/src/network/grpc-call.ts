/** Single calls of gRPC services that filters ask, through clusters. */

import { durationToMs } from "@meltemi/protos";
import type { GrpcService } from "@meltemi/protos/envoy/config/core/v3";
import type { ProxyEnv } from "../config/env.ts";
import { callCluster } from "../filters/cluster-call.ts";
import { HeaderList } from "../http/header-list.ts";
import { ConfigError, need } from "../lib/config-error.ts";
import { frameGrpc, grpcHeadLength } from "../lib/grpc-frame.ts";

export interface GrpcTarget {
  readonly cluster: string;
  readonly authority: string;
  /** Milliseconds; 0 for none. */
  readonly timeoutMs: number;
  readonly metadata: readonly (readonly [name: string, value: string])[];
}

/** Throws ConfigError for what is not one of Envoy's own clients. */
export function compileGrpcTarget(wire: GrpcService | undefined, defaultTimeoutMs: number): GrpcTarget {
  const service = need("grpc_service", wire);
  if (service.envoy_grpc === undefined) {
    throw new ConfigError("grpc_service", "google_grpc is not supported: use envoy_grpc");
  }
  const cluster = need("grpc_service.envoy_grpc.cluster_name", service.envoy_grpc.cluster_name);
  return {
    cluster,
    authority: service.envoy_grpc.authority || cluster,
    timeoutMs: durationToMs(service.timeout) ?? defaultTimeoutMs,
    metadata: (service.initial_metadata ?? []).map(({ key = "", value = "" }) => [key.toLowerCase(), value] as const),
  };
}

export interface GrpcCall {
  /** "/package.Service/Method" */
  readonly path: string;
  readonly message: Uint8Array;
  readonly onAbort?: ((run: (cause: Error) => void) => () => void) | undefined;
}

/** The message of the answer. Rejects with Error for every other end than status 0. */
export async function callGrpc(
  env: Pick<ProxyEnv, "clusters" | "clock">,
  target: GrpcTarget,
  call: GrpcCall,
): Promise<Uint8Array> {
  const headers = new HeaderList(["te", "trailers", "content-type", "application/grpc"]);
  if (target.timeoutMs > 0) headers.append("grpc-timeout", `${target.timeoutMs}m`);
  for (const [name, value] of target.metadata) headers.append(name, value);
  const answer = await callCluster(env, {
    cluster: target.cluster,
    method: "POST",
    authority: target.authority,
    path: call.path,
    headers,
    body: frameGrpc(call.message),
    timeoutMs: target.timeoutMs,
    onAbort: call.onAbort,
  });
  const status = answer.trailers?.get("grpc-status") ?? answer.headers.get("grpc-status");
  if (answer.status !== 200 || status !== "0") {
    throw new Error(`the service answered with HTTP ${answer.status} and gRPC status ${status ?? "none"}`);
  }
  const { body } = answer;
  if (body.length < grpcHeadLength || body[0] !== 0) throw new Error("the service's answer is no plain gRPC message");
  const length = Buffer.from(body.buffer, body.byteOffset, body.length).readUInt32BE(1);
  return body.subarray(grpcHeadLength, grpcHeadLength + length);
}
