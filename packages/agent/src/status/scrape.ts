/** One request for metrics, bounded in time and size. */
import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import type { Clock } from "../../../../src/lib/clock.ts";

export interface ScrapeOptions {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Accept for this source. */
  readonly accept: string;
  /** Of Prometheus' request. */
  readonly headers: IncomingHttpHeaders;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface Scraped {
  readonly text: string;
  readonly contentType: string | undefined;
}

/** Rejects where there is no answer of status 200 within the limits; the message says why. */
export function scrape(options: ScrapeOptions, clock: Clock): Promise<Scraped> {
  const { host, port, path, timeoutMs, maxBytes } = options;
  return new Promise((resolve, reject) => {
    const receive = (response: IncomingMessage): void => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        parts.push(part);
        if (size > maxBytes) call.destroy(new Error(`more than ${maxBytes} bytes`));
      });
      response.on("error", reject);
      response.on("end", () => {
        timer.close();
        if (response.statusCode !== 200) return reject(new Error(`status ${response.statusCode}`));
        resolve({ text: Buffer.concat(parts).toString("utf8"), contentType: response.headers["content-type"] });
      });
    };
    const call = request({ host, port, path, headers: buildHeaders(options), agent: false }, receive);
    const timer = clock.after(timeoutMs, () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.on("error", (cause) => {
      timer.close();
      reject(cause);
    });
    call.end();
  });
}

const timeoutHeader = "x-prometheus-scrape-timeout-seconds";

function buildHeaders({ headers, accept }: ScrapeOptions): IncomingHttpHeaders {
  const passed = ["user-agent", timeoutHeader].flatMap((name) => {
    const value = headers[name];
    return typeof value === "string" ? [[name, value] as const] : [];
  });
  return { ...Object.fromEntries(passed), accept };
}

/** Prometheus' own default. */
const defaultTimeoutMs = 10_000;

/**
 * How long a source may take, from the time that Prometheus gives the whole: a little less, so that what the others said
 * still arrives where one is too slow.
 */
export function findTimeout(headers: IncomingHttpHeaders): number {
  const seconds = Number(headers[timeoutHeader] ?? Number.NaN);
  const timeoutMs = seconds > 0 ? seconds * 1000 : defaultTimeoutMs;
  return Math.max(timeoutMs - Math.min(500, timeoutMs / 5), 1);
}
