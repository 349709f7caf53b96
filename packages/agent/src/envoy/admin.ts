/** The few of Envoy's administration pages that the agent needs; the companion proxy has them too. */
import { request } from "node:http";
import type { Clock } from "../../../../src/lib/clock.ts";

export interface AdminClient {
  /** Values of the statistics whose names match. Rejects where Envoy does not answer within the limit. */
  readStats(pattern: string): Promise<ReadonlyMap<string, number>>;
  /** Ends listeners in an orderly way; with `keepsListening` they stay open until the end. */
  drain(options: DrainOptions): Promise<void>;
}

export interface DrainOptions {
  /** Connections that the application makes go on (sidecars); otherwise all listeners drain (gateways). */
  readonly isInboundOnly: boolean;
  /** Listeners are not closed when the drain's time is over: somebody else says when the end is. */
  readonly keepsListening: boolean;
}

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
}

/** As long as the kubelet waits for readiness in Istio's charts. */
const limitMs = 3_000;
/** Statistics that are asked for are few; a page that grows beyond this is not what was asked for. */
const maxBytes = 4 * 1024 * 1024;

export function createAdminClient(options: AdminOptions): AdminClient {
  return {
    async readStats(pattern) {
      const text = await ask(options, "GET", `/stats?usedonly&filter=${encodeURIComponent(pattern)}`);
      return parseStats(text);
    },
    async drain({ isInboundOnly, keepsListening }) {
      const flags = [...(isInboundOnly ? ["inboundonly"] : []), "graceful", ...(keepsListening ? ["skip_exit"] : [])];
      await ask(options, "POST", `/drain_listeners?${flags.join("&")}`);
    },
  };
}

/** Lines such as "server.state: 0"; histograms and texts are left out. */
function parseStats(text: string): ReadonlyMap<string, number> {
  const lines = text.split("\n").flatMap((line) => {
    const at = line.lastIndexOf(": ");
    const value = line.slice(at + 2).trim();
    return at < 0 || !/^\d+$/.test(value) ? [] : [[line.slice(0, at), Number(value)] as const];
  });
  return new Map(lines);
}

function ask({ host, port, clock }: AdminOptions, method: "GET" | "POST", path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port, method, path, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
        if (text.length > maxBytes) call.destroy(new Error(`the answer to ${path} is too long`));
      });
      response.on("error", reject);
      response.on("end", () => {
        timer.close();
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${path} was answered with status ${response.statusCode}`));
      });
    });
    const timer = clock.after(limitMs, () => call.destroy(new Error(`no answer to ${path} within ${limitMs} ms`)));
    call.on("error", (cause) => {
      timer.close();
      reject(cause);
    });
    call.end();
  });
}
