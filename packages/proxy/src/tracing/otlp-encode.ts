/** Spans as OpenTelemetry's ExportTraceServiceRequest, in protobuf (opentelemetry/proto/collector/trace/v1). */
import { concatBytes } from "@meltemi/protos";
import type { FinishedSpan } from "./span-queue.ts";

const text = new TextEncoder();

export function encodeSpans(spans: readonly FinishedSpan[], serviceName: string): Uint8Array {
  const resource = message(1, attribute(1, "service.name", serviceName));
  const scope = message(2, ...spans.map(encodeSpan));
  return message(1, resource, scope);
}

const kinds = { server: 2, client: 3 } as const;
const errorStatus = 2;

function encodeSpan(span: FinishedSpan): Uint8Array {
  return message(
    2,
    field(1, Buffer.from(span.traceId.padStart(32, "0"), "hex")),
    field(2, Buffer.from(span.spanId, "hex")),
    ...(span.parentId === undefined ? [] : [field(4, Buffer.from(span.parentId, "hex"))]),
    field(5, text.encode(span.name)),
    number(6, kinds[span.kind]),
    fixed64(7, span.startedUs),
    fixed64(8, span.startedUs + span.durationUs),
    ...[...span.tags].map(([name, value]) => attribute(9, name, value)),
    ...(span.isError ? [message(15, number(3, errorStatus))] : []),
  );
}

/** A KeyValue whose value is text. */
function attribute(at: number, name: string, value: string): Uint8Array {
  return message(at, field(1, text.encode(name)), message(2, field(1, text.encode(value))));
}

function message(at: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return field(at, concatBytes(parts));
}

function field(at: number, bytes: Uint8Array): Uint8Array {
  return concatBytes([varint((at << 3) | 2), varint(bytes.length), bytes]);
}

function number(at: number, value: number): Uint8Array {
  return concatBytes([varint(at << 3), varint(value)]);
}

/** Microseconds as nanoseconds. */
function fixed64(at: number, timeUs: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(Math.round(timeUs)) * 1000n);
  return concatBytes([varint((at << 3) | 1), bytes]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
