/** Finds requests that go round in circles between CDNs: RFC 8586. */
import type { CdnLoopConfig } from "@meltemi/protos/envoy/extensions/filters/http/cdn_loop/v3";
import { type HttpFilterFactory, LocalReplyError } from "../http/exchange.ts";
import { ConfigError } from "../lib/config-error.ts";

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const host = String.raw`(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]+?)`;
const parameter = String.raw`\s*;\s*${token}\s*=\s*(?:${token}|"(?:[^"\\]|\\.)*")`;
const cdnInfo = new RegExp(String.raw`^\s*(${token}|${host}(?::\d*)?)((?:${parameter})*)\s*$`);

export const cdnLoopFactory: HttpFilterFactory<CdnLoopConfig> = {
  name: "envoy.filters.http.cdn_loop",
  type: "envoy.extensions.filters.http.cdn_loop.v3.CdnLoopConfig",
  compile({ cdn_id: id = "", max_allowed_occurrences: max = 0 }) {
    if (countId(id, id) !== 1) throw new ConfigError("cdn_id", `"${id}" is not a valid CDN identifier`);
    return {
      handle(exchange, next) {
        const { headers } = exchange.request;
        const given = headers.joined("cdn-loop");
        if (given === undefined) {
          headers.set("cdn-loop", id);
          return next(exchange);
        }
        const seen = countId(given, id);
        if (seen === undefined) {
          const body = "Invalid CDN-Loop header in request.";
          return Promise.reject(new LocalReplyError({ status: 400, body, details: "invalid_cdn_loop_header" }));
        }
        if (seen > max) {
          const body = "The server has detected a loop between CDNs.";
          return Promise.reject(new LocalReplyError({ status: 502, body, details: "cdn_loop_detected" }));
        }
        headers.set("cdn-loop", `${given},${id}`);
        return next(exchange);
      },
    };
  },
};

/** How often the list names the identifier; undefined for what is no list. */
function countId(list: string, id: string): number | undefined {
  let count = 0;
  // Commas stand in quoted strings, too.
  for (const part of list.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? []) {
    if (part.trim() === "") continue;
    const [, name] = cdnInfo.exec(part) ?? [];
    if (name === undefined) return undefined;
    if (name === id) count += 1;
  }
  return count;
}
