import type { IncomingHttpHeaders } from "node:http";
import type { Line } from "./lines.ts";

/** What came of sending a request once. */
export interface Exchange {
  /** "broken": the connection or stream ended before the answer did. */
  readonly outcome: "answered" | "refused" | "broken" | "cancelled";
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly error: string;
  readonly elapsedMs: number;
  /** Numbers of the worlds that held when it was sent, and at the latest when its answer began. */
  readonly first: number;
  readonly last: number;
  readonly line: Line;
}

/** What is sent with a request, and what an upstream sends back: other bytes for each. */
export function buildBody(id: number, size: number): Buffer {
  return Buffer.alloc(size, `${id} `);
}
