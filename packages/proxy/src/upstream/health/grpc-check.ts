/** Active checks by gRPC's health service (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). */

import { decode, encode } from "@meltemi/protos";
import type { HealthCheck_GrpcHealthCheck } from "@meltemi/protos/envoy/config/core/v3";
import { bodyOf, collect } from "../../http/body.ts";
import { HeaderList } from "../../http/header-list.ts";
import { frameGrpc, grpcHeadLength } from "../../lib/grpc-frame.ts";
import type { CheckResult, CheckTarget, CompiledCheck } from "./check.ts";
import { compileAddedHeaders } from "./http-check.ts";

const path = "/grpc.health.v1.Health/Check";
const answerLimit = 64 * 1024;
const failed: CheckResult = { kind: "failed", isRetriable: false };

/** Throws ConfigError. */
export function compileGrpcCheck(
  wire: HealthCheck_GrpcHealthCheck,
  { clusterName, scheme }: { readonly clusterName: string; readonly scheme: "http" | "https" },
): CompiledCheck {
  const message = encode("grpc.health.v1.HealthCheckRequest", { service: wire.service_name ?? "" });
  const frame = frameGrpc(message);
  const addMetadata = compileAddedHeaders("initial_metadata", wire.initial_metadata);
  return {
    protocol: "http2",
    async run(target) {
      const headers = new HeaderList(["content-type", "application/grpc", "te", "trailers", "user-agent", "Envoy/HC"]);
      addMetadata(headers);
      const authority = target.hostname || wire.authority || clusterName;
      return await ask(target, { authority, scheme, headers, frame });
    },
  };
}

interface GrpcQuestion {
  readonly authority: string;
  readonly scheme: "http" | "https";
  readonly headers: HeaderList;
  readonly frame: Uint8Array;
}

async function ask(
  { pools, host, signal }: CheckTarget,
  { authority, scheme, headers, frame }: GrpcQuestion,
): Promise<CheckResult> {
  const pending = pools.send(
    host,
    {
      ...{ method: "POST", path, scheme, authority, headers },
      ...{ body: bodyOf(frame), upgrade: undefined, downstreamProtocol: "HTTP/2" },
    },
    "DEFAULT",
  );
  const cancel = (): void => pending.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const { status, headers: head, body } = await pending.response;
    if (status !== 200 || body === undefined) return failed;
    const { bytes, trailers } = await collect(body, answerLimit);
    const grpcStatus = trailers?.get("grpc-status") ?? head.get("grpc-status");
    return grpcStatus === "0" && isServing(bytes) ? { kind: "passed", isDegraded: false } : failed;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** One message that is not compressed, with the status "SERVING". */
function isServing(bytes: Uint8Array): boolean {
  if (bytes.length < grpcHeadLength || bytes[0] !== 0) return false;
  const length = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt32BE(1);
  if (bytes.length < grpcHeadLength + length) return false;
  try {
    return (
      decode("grpc.health.v1.HealthCheckResponse", bytes.subarray(grpcHeadLength, grpcHeadLength + length)).status ===
      "SERVING"
    );
  } catch {
    return false;
  }
}
