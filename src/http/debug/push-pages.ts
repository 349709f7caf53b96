/** Pages about what is kept encoded and what the last push found. */
import { listFindings } from "./push-status.ts";
import { type DebugHandler, replyIndentedJson, replyJson, replyText } from "./reply.ts";

/** Names of encoded resources by type; `sizes=true` gives bytes by type, `clear=true` forgets them. */
export const handleCache: DebugHandler = (request) => {
  const { query, port } = request;
  if (query.get("clear")) {
    port.clearCache();
    return replyText(200, "Cache cleared\n");
  }
  const byType = Object.groupBy(port.listCachedResources(), ({ typeUrl }) => typeUrl);
  if (!query.get("sizes")) {
    const names = Object.entries(byType).map(([typeUrl, kept = []]) => [typeUrl, kept.map(({ name }) => name).sort()]);
    return replyJson(request, Object.fromEntries(names));
  }
  const sizes = Object.entries(byType).map(([typeUrl, kept = []]): [string, number] => [
    typeUrl,
    kept.reduce((sum, { byteLength }) => sum + byteLength, 0),
  ]);
  const total = sizes.reduce((sum, [, size]) => sum + size, 0);
  const texts = [...sizes, ["total", total] as const].map(([name, size]) => [name, formatByteCount(size)]);
  return replyJson(request, Object.fromEntries(texts));
};

/** "512B", "1.5kB": powers of 1000, as istiod prints sizes. */
function formatByteCount(bytes: number): string {
  if (bytes < 1000) return `${bytes}B`;
  const exponent = Math.min(Math.floor(Math.log10(bytes) / 3), 4);
  return `${(bytes / 1000 ** exponent).toFixed(1)}${"kMGT"[exponent - 1]}B`;
}

/** {finding: {what: {}}}; a finding about nothing is left out. istiod indents this page by four. */
export const handlePushStatus: DebugHandler = ({ port }) => {
  const snapshot = port.snapshot();
  const findings = snapshot === undefined ? [] : Object.entries(listFindings(snapshot));
  const sections = findings
    .filter(([, about]) => about.length > 0)
    .map(([name, about]) => [name, Object.fromEntries(about.map((what) => [what, {}]))]);
  return replyIndentedJson(Object.fromEntries(sections), 4);
};
