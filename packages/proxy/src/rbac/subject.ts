import type { HttpRequest } from "../http/message.ts";
import type { StreamInfo } from "../http/stream-info.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";

/** Who asks for what: a connection, or one request of it. */
export interface RbacSubject {
  readonly connection: DownstreamConnection;
  /** Of the request, or of the connection where there is none. */
  readonly info: StreamInfo;
  readonly request?: HttpRequest | undefined;
  /** The client of the request where headers named another than the connection's, such as x-forwarded-for. */
  readonly remoteIp?: string | undefined;
}
