/**
 * What is known of one connection or one request, for logs, statistics, formatters and matchers: Envoy's StreamInfo.
 * Filled in by whoever learns it; read by the access log when all is over. Times are of the monotonic clock.
 */
import type { Address, DownstreamConnection } from "../listeners/connection.ts";
import type { Host } from "../upstream/types.ts";
import type { ResponseFlag } from "./response-flags.ts";

export class StreamInfo {
  readonly connection: DownstreamConnection;
  /** Wall clock, milliseconds since the epoch. */
  readonly startTime: number;
  readonly startedAt: number;
  protocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2" | undefined;
  requestReceivedAt: number | undefined;
  upstreamRequestSentAt: number | undefined;
  upstreamResponseAt: number | undefined;
  upstreamResponseEndAt: number | undefined;
  /** When the first byte of the answer went to the client. */
  responseStartedAt: number | undefined;
  endedAt: number | undefined;
  bytesReceived = 0;
  bytesSent = 0;
  upstreamBytesSent = 0;
  upstreamBytesReceived = 0;
  responseCode: number | undefined;
  /** Such as "via_upstream" or "route_not_found": Envoy's %RESPONSE_CODE_DETAILS%. */
  responseCodeDetails = "";
  connectionTerminationDetails = "";
  routeName = "";
  virtualHostName = "";
  virtualCluster = "";
  /** Name of the cluster of the last attempt. */
  clusterName = "";
  upstreamHost: Host | undefined;
  /** "ADDRESS:PORT" of this end of the connection to the upstream. */
  upstreamLocalAddress = "";
  upstreamTransportFailure = "";
  upstreamProtocol = "";
  /** Attempts that were made, the first included. */
  attempts = 0;
  requestId = "";
  traceId = "";
  isHealthCheck = false;
  /** The client as trusted headers (x-forwarded-for) name it; undefined where they do not: then that of the connection. */
  remoteAddress: Address | undefined;
  /** By name of an object. A request sees those of its connection, too. */
  readonly filterState: Map<string, FilterStateObject>;
  #responseFlags: Set<ResponseFlag> | undefined;
  #dynamicMetadata: Map<string, Record<string, unknown>> | undefined;

  constructor(connection: DownstreamConnection, startTime: number, startedAt: number) {
    this.connection = connection;
    this.startTime = startTime;
    this.startedAt = startedAt;
    this.filterState = new Map();
  }

  /** Made when first asked for, as the metadata below: most requests have none. */
  get responseFlags(): Set<ResponseFlag> {
    this.#responseFlags ??= new Set();
    return this.#responseFlags;
  }

  /** By name of a filter, then by key: what filters tell each other and the log. Plain JSON. */
  get dynamicMetadata(): Map<string, Record<string, unknown>> {
    this.#dynamicMetadata ??= new Map();
    return this.#dynamicMetadata;
  }

  /** That of the request itself or of its connection. */
  findFilterState(name: string): FilterStateObject | undefined {
    return this.filterState.get(name) ?? this.connection.filterState.get(name);
  }
}

export interface FilterStateObject {
  /** How formatters print it. */
  readonly text: string;
  readonly value?: unknown;
}
