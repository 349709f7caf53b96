/** Unary gRPC calls of the proxy's own, to a cluster by its name. */

import { durationToMs } from "@meltemi/protos";
import type { GrpcService } from "@meltemi/protos/envoy/config/core/v3";
import { HeaderList } from "../http/header-list.ts";
import { ConfigError, need } from "../lib/config-error.ts";
import { frameGrpc, grpcHeadLength } from "../lib/grpc-frame.ts";
import { type CallEnv, ClusterCallError, callCluster } from "./cluster-call.ts";

export interface GrpcTarget {
  readonly cluster: string;
  readonly authority: string;
  /** Milliseconds until the whole answer must be there; 0 for no end. */
  readonly timeoutMs: number;
  /** Names and values in turn, as in a HeaderList. */
  readonly metadata: readonly string[];
}

/** Where a service is. Throws ConfigError for one that is not behind a cluster. */
export function compileGrpcTarget(wire: GrpcService, defaultTimeoutMs: number): GrpcTarget {
  if (wire.google_grpc) throw new ConfigError("google_grpc", "is not supported; envoy_grpc is");
  for (const retry of [wire.retry_policy, wire.envoy_grpc?.retry_policy]) {
    if (retry) throw new ConfigError("retry_policy", "is not supported for calls of the proxy itself");
  }
  const cluster = need("envoy_grpc.cluster_name", wire.envoy_grpc?.cluster_name);
  return {
    cluster,
    authority: wire.envoy_grpc?.authority || cluster,
    timeoutMs: durationToMs(wire.timeout) ?? defaultTimeoutMs,
    metadata: (wire.initial_metadata ?? []).flatMap(({ key = "", value = "" }) => [key.toLowerCase(), value]),
  };
}

export interface GrpcCall {
  readonly target: GrpcTarget;
  /** "/package.Service/Method". */
  readonly path: string;
  readonly message: Uint8Array;
  /** Ends the call when what it is for is over. */
  readonly onAbort?: ((run: (cause: Error) => void) => () => void) | undefined;
}

/** Calls a method and gives the bytes of its answer. Rejects with ClusterCallError, also for any status but OK. */
export async function callGrpc(env: CallEnv, { target, path, message, onAbort }: GrpcCall): Promise<Uint8Array> {
  const headers = new HeaderList(["te", "trailers", "content-type", "application/grpc"]);
  if (target.timeoutMs > 0) headers.append("grpc-timeout", `${Math.ceil(target.timeoutMs)}m`);
  headers.append("x-envoy-internal", "true");
  headers.raw.push(...target.metadata);
  const answer = await callCluster(env, {
    cluster: target.cluster,
    method: "POST",
    authority: target.authority,
    path,
    headers,
    body: frameGrpc(message),
    timeoutMs: target.timeoutMs,
    onAbort,
  });
  const status = answer.trailers?.get("grpc-status") ?? answer.headers.get("grpc-status");
  if (answer.status !== 200 || status !== "0") {
    throw new ClusterCallError(`status ${answer.status}, grpc-status ${status ?? "missing"}`);
  }
  return unframe(answer.body);
}

function unframe(body: Uint8Array): Uint8Array {
  if (body.length < grpcHeadLength) throw new ClusterCallError("the answer has no message");
  const view = Buffer.from(body.buffer, body.byteOffset, body.length);
  const end = grpcHeadLength + view.readUInt32BE(1);
  if (view[0] !== 0 || end > view.length) throw new ClusterCallError("the answer's message cannot be read");
  return view.subarray(grpcHeadLength, end);
}
