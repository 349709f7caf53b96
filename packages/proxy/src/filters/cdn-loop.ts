/** Finds requests that go round in circles between CDNs: RFC 8586. */
import type { CdnLoopConfig } from "@meltemi/protos/envoy/extensions/filters/http/cdn_loop/v3";
import { type HttpFilterFactory, LocalReplyError } from "../http/exchange.ts";
import { ConfigError } from "../lib/config-error.ts";

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const identifier = new RegExp(String.raw`^(?:${token}|\[[0-9A-Fa-f:.]+\])(?::\d*)?$`);
const parameter = new RegExp(String.raw`^${token}\s*=\s*(?:${token}|"(?:[^"\\]|\\.)*")$`);

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
  for (const entry of splitOutsideQuotes(list, ",")) {
    if (entry === "") continue;
    const [name = "", ...parameters] = splitOutsideQuotes(entry, ";");
    if (!identifier.test(name) || !parameters.every((one) => parameter.test(one))) return undefined;
    if (name === id) count += 1;
  }
  return count;
}

/** The trimmed parts of a text, in one pass: separators in quoted strings separate nothing. */
function splitOutsideQuotes(text: string, separator: string): readonly string[] {
  const parts: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let index = 0; index < text.length; index += 1) {
    const letter = text[index];
    if (letter === '"') isQuoted = !isQuoted;
    else if (isQuoted && letter === "\\") index += 1;
    else if (!isQuoted && letter === separator) {
      parts.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  return [...parts, text.slice(start).trim()];
}
