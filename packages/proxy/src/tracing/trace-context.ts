/** Identity of a trace in headers: W3C trace context (https://www.w3.org/TR/trace-context/) and Zipkin's B3. */
import type { HeaderList } from "../http/header-list.ts";

export interface TraceIds {
  /** 16 or 32 lower-case hexadecimal digits. */
  readonly traceId: string;
  /** 16 digits. */
  readonly spanId: string;
  readonly parentId: string | undefined;
}

export interface TraceContext extends TraceIds {
  readonly isSampled: boolean;
}

/** A request may say whether it is sampled without being part of a trace yet; then only `isSampled` is there. */
export interface Extracted {
  readonly context: TraceIds | undefined;
  /** Undefined where whoever sent the request left that open. */
  readonly isSampled: boolean | undefined;
}

export interface Propagation {
  /** "malformed": Envoy leaves such headers as they are, and traces nothing. */
  extract(headers: HeaderList): Extracted | "malformed";
  inject(headers: HeaderList, context: TraceContext): void;
}

/** Of any version, as Envoy reads it. */
const traceparentPattern = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

/** "traceparent"; "tracestate" passes through as it is. */
export const w3cPropagation: Propagation = {
  extract(headers) {
    const header = headers.get("traceparent");
    if (header === undefined) return { context: undefined, isSampled: undefined };
    const [, traceId, spanId, flags = "0"] = traceparentPattern.exec(header.toLowerCase()) ?? [];
    if (traceId === undefined || spanId === undefined) return "malformed";
    const isSampled = (Number.parseInt(flags, 16) & 1) === 1;
    return { context: { traceId, spanId, parentId: undefined }, isSampled };
  },
  inject(headers, { traceId, spanId, isSampled }) {
    headers.set("traceparent", `00-${traceId.padStart(32, "0")}-${spanId}-${isSampled ? "01" : "00"}`);
  },
};

/** The single header "b3", or else the "x-b3-..." headers. A request goes on in the form that it came in. */
export const b3Propagation: Propagation = {
  extract(headers) {
    const single = headers.get("b3");
    return single === undefined ? extractMany(headers) : extractSingle(single);
  },
  inject(headers, { traceId, spanId, parentId, isSampled }) {
    const sampled = isSampled ? "1" : "0";
    if (headers.has("b3")) {
      headers.set("b3", [traceId, spanId, sampled, ...(parentId === undefined ? [] : [parentId])].join("-"));
      return;
    }
    headers.set("x-b3-traceid", traceId);
    headers.set("x-b3-spanid", spanId);
    if (parentId === undefined) headers.remove("x-b3-parentspanid");
    else headers.set("x-b3-parentspanid", parentId);
    headers.set("x-b3-sampled", sampled);
  },
};

const samplingPattern = /^[01d]$/;
const singlePattern = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d]))?(?:-([0-9a-f]{16}))?$/i;

/** "TRACE-SPAN", "TRACE-SPAN-SAMPLED" or "TRACE-SPAN-SAMPLED-PARENT"; one letter alone only says whether it is sampled. */
function extractSingle(header: string): Extracted | "malformed" {
  if (samplingPattern.test(header)) return { context: undefined, isSampled: header !== "0" };
  const [, traceId, spanId, sampled, parentId] = singlePattern.exec(header) ?? [];
  if (traceId === undefined || spanId === undefined) return "malformed";
  const isSampled = sampled === undefined ? undefined : sampled !== "0";
  return { context: toContext({ traceId, spanId, parentId }), isSampled };
}

const shortIdPattern = /^[0-9a-f]{1,16}$/i;
const longIdPattern = /^[0-9a-f]{32}$/i;

/** Shorter ids count as if they had zeros before them. Envoy does not look at "x-b3-flags". */
function extractMany(headers: HeaderList): Extracted | "malformed" {
  const sampled = headers.get("x-b3-sampled");
  const isSampled = sampled === undefined ? undefined : sampled === "1" || sampled === "true";
  const traceId = headers.get("x-b3-traceid");
  const spanId = headers.get("x-b3-spanid");
  if (traceId === undefined || spanId === undefined) return { context: undefined, isSampled };
  const parentId = headers.get("x-b3-parentspanid") || undefined;
  const areRight =
    (shortIdPattern.test(traceId) || longIdPattern.test(traceId)) &&
    shortIdPattern.test(spanId) &&
    (parentId === undefined || shortIdPattern.test(parentId));
  return areRight ? { context: toContext({ traceId, spanId, parentId }), isSampled } : "malformed";
}

function toContext({ traceId, spanId, parentId }: TraceIds): TraceIds {
  const normalize = (id: string): string => id.toLowerCase().padStart(16, "0");
  return {
    traceId: normalize(traceId),
    spanId: normalize(spanId),
    parentId: parentId === undefined ? undefined : normalize(parentId),
  };
}
