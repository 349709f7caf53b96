/** Requests and responses as filters see them, whatever protocol they came in. */
import type { BodySource } from "./body.ts";
import type { HeaderList } from "./header-list.ts";

export type HttpProtocol = "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";

/** A request: what came from the client, and what filters make of it. */
export interface HttpRequest {
  method: string;
  scheme: "http" | "https";
  /** Host and port as the client named them: ":authority" or Host. "" where an HTTP/1.0 client named none. */
  authority: string;
  /** With query, beginning with "/"; "*" for OPTIONS; "" for a CONNECT. */
  path: string;
  /** Without pseudo headers and without Host; hop-by-hop headers are taken out by the codec. */
  headers: HeaderList;
  /** Undefined where the message ends with its head. Of an upgrade: what the client sends after the answer. */
  body: BodySource | undefined;
  readonly protocol: HttpProtocol;
  /** What the client wants the connection to become: "websocket" or another value of Upgrade, lower case; "connect" for CONNECT. */
  readonly upgrade: string | undefined;
}

export interface HttpResponse {
  /** 101 or 200 accepts an upgrade: then `body` is what the server sends from there on. */
  status: number;
  headers: HeaderList;
  body: BodySource | undefined;
}
