import { HeaderList } from "../http/header-list.ts";
import { frameGrpc } from "../lib/grpc-frame.ts";
import { type CallEnv, callCluster } from "./cluster-call.ts";
import type { GrpcTarget } from "./grpc-call.ts";

/** What a collector of logs or spans is sent. */
export interface GrpcMessage {
  readonly target: GrpcTarget;
  /** "/package.Service/Method". */
  readonly path: string;
  readonly message: Uint8Array;
}

/** Sends one message and waits for the status alone: many a collector answers a stream with no message. Rejects with Error. */
export async function sendGrpc(env: CallEnv, { target, path, message }: GrpcMessage): Promise<void> {
  const answer = await callCluster(env, {
    cluster: target.cluster,
    method: "POST",
    authority: target.authority,
    path,
    headers: new HeaderList(["content-type", "application/grpc", "te", "trailers", ...target.metadata]),
    body: frameGrpc(message),
    timeoutMs: target.timeoutMs,
  });
  const status = answer.trailers?.get("grpc-status") ?? answer.headers.get("grpc-status");
  if (status !== "0") throw new Error(`the collector answered with gRPC status ${status ?? "none"}`);
}
