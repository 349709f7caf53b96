/**
 * A probe of kind grpc: grpc.health.v1.Health/Check over plain HTTP/2, as the kubelet asks. Written on node:http2, because
 * the connection must come from an address of the agent's choice.
 */
import { connect as connectHttp2, constants, type IncomingHttpHeaders } from "node:http2";
import type { Clock } from "../../../../src/lib/clock.ts";
import { connectTarget, failed, type ProbeOutcome, type ProbeTarget } from "./probe-target.ts";

export interface GrpcProbe {
  readonly port: number;
  /** "" asks for the server as a whole. */
  readonly service: string;
  readonly timeoutMs: number;
  /** Of the kubelet's request. */
  readonly userAgent: string | undefined;
}

/** HealthCheckResponse.SERVING */
const serving = 1;
/** The answer is a byte or two. */
const maxAnswerBytes = 4096;

export function probeGrpc(target: ProbeTarget, probe: GrpcProbe, clock: Clock): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://${target.localAddress.includes(":") ? "[::1]" : "127.0.0.1"}:${probe.port}`, {
      createConnection: () => connectTarget(target, probe.port),
    });
    const finish = (outcome: ProbeOutcome): void => {
      timer.close();
      session.destroy();
      resolve(outcome);
    };
    const timer = clock.after(probe.timeoutMs, () => finish(failed(`no answer within ${probe.timeoutMs} ms`)));
    session.on("error", (cause: Error) => finish(failed(cause.message)));

    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
      ...(probe.userAgent === undefined ? {} : { "user-agent": probe.userAgent }),
    });
    const answer: Buffer[] = [];
    let bytes = 0;
    let status: string | undefined;
    const readStatus = (headers: IncomingHttpHeaders): void => {
      const value = headers["grpc-status"];
      if (value !== undefined) status = String(value);
    };
    stream.on("response", readStatus);
    stream.on("trailers", readStatus);
    stream.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes <= maxAnswerBytes) answer.push(part);
    });
    stream.on("error", (cause: Error) => finish(failed(cause.message)));
    stream.on("end", () => finish(judge(status, Buffer.concat(answer))));
    stream.end(frame(encodeRequest(probe.service)));
  });
}

function judge(status: string | undefined, answer: Buffer): ProbeOutcome {
  if (status !== undefined && status !== "0") {
    const problem =
      status === "12" ? "the server has no health service" : `the health service answered status ${status}`;
    return failed(problem);
  }
  return decodeStatus(answer.subarray(5)) === serving ? { status: 200 } : failed("the service is not serving");
}

/** HealthCheckRequest { string service = 1; } */
function encodeRequest(service: string): Buffer {
  if (service === "") return Buffer.alloc(0);
  const name = Buffer.from(service);
  return Buffer.concat([Buffer.from([0x0a, ...encodeVarint(name.length)]), name]);
}

function encodeVarint(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...encodeVarint(value >>> 7)];
}

/** HealthCheckResponse { ServingStatus status = 1; }: one varint; absent means 0. */
function decodeStatus(message: Buffer): number {
  return message[0] === 0x08 ? (message[1] ?? 0) : 0;
}

/** gRPC's frame: not compressed, length, message. */
function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
