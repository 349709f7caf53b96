/** Identity of a trace in headers: W3C trace context (https://www.w3.org/TR/trace-context/) and Zipkin's B3. */
import type { HeaderList } from "../http/header-list.ts";

export interface TraceContext {
  /** 16 or 32 lower-case hexadecimal digits. */
  readonly traceId: string;
  /** 16 digits. */
  readonly spanId: string;
  readonly parentId: string | undefined;
  /** Undefined where whoever sent it left that open. */
  readonly isSampled: boolean | undefined;
}

export interface Propagation {
  extract(headers: HeaderList): TraceContext | undefined;
  inject(headers: HeaderList, context: TraceContext): void;
}

const traceparentPattern = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** "traceparent"; "tracestate" passes through as it is. */
export const w3cPropagation: Propagation = {
  extract(headers) {
    const match = traceparentPattern.exec(headers.get("traceparent") ?? "");
    const [, traceId, spanId, flags = "0"] = match ?? [];
    if (traceId === undefined || spanId === undefined) return undefined;
    return { traceId, spanId, parentId: undefined, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
  },
  inject(headers, { traceId, spanId, isSampled }) {
    headers.set("traceparent", `00-${traceId.padStart(32, "0")}-${spanId}-${isSampled === true ? "01" : "00"}`);
  },
};

const traceIdPattern = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i;
const spanIdPattern = /^[0-9a-f]{16}$/i;

/** "x-b3-..." headers, or else the single header "b3". Goes on in several headers, as Envoy does. */
export const b3Propagation: Propagation = {
  extract(headers) {
    const sampled = headers.get("x-b3-flags") === "1" ? "1" : headers.get("x-b3-sampled");
    const many = toContext({
      traceId: headers.get("x-b3-traceid"),
      spanId: headers.get("x-b3-spanid"),
      parentId: headers.get("x-b3-parentspanid"),
      sampled,
    });
    return many ?? extractSingle(headers.get("b3"));
  },
  inject(headers, { traceId, spanId, parentId, isSampled }) {
    headers.set("x-b3-traceid", traceId);
    headers.set("x-b3-spanid", spanId);
    if (parentId === undefined) headers.remove("x-b3-parentspanid");
    else headers.set("x-b3-parentspanid", parentId);
    headers.set("x-b3-sampled", isSampled === true ? "1" : "0");
  },
};

/** "TRACE-SPAN", "TRACE-SPAN-SAMPLED" or "TRACE-SPAN-SAMPLED-PARENT"; one letter alone only says whether it is sampled. */
function extractSingle(header: string | undefined): TraceContext | undefined {
  const [traceId, spanId, sampled, parentId] = header?.split("-") ?? [];
  return toContext({ traceId, spanId, parentId, sampled: sampled === "d" ? "1" : sampled });
}

interface B3Fields {
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly parentId: string | undefined;
  readonly sampled: string | undefined;
}

function toContext({ traceId = "", spanId = "", parentId = "", sampled }: B3Fields): TraceContext | undefined {
  if (!traceIdPattern.test(traceId) || !spanIdPattern.test(spanId)) return undefined;
  return {
    traceId: traceId.toLowerCase(),
    spanId: spanId.toLowerCase(),
    parentId: spanIdPattern.test(parentId) ? parentId.toLowerCase() : undefined,
    isSampled: sampled === undefined ? undefined : sampled === "1" || sampled === "true",
  };
}
