/** What the connections and exchanges of one connection manager share. */
import type { AccessLogger } from "../access-log/types.ts";
import type { HttpFilterEnv } from "../config/env.ts";
import type { Deadlines } from "../router/deadlines.ts";
import type { RouteTable } from "../router/types.ts";
import type { Tracer } from "../tracing/types.ts";
import type { ConnectionStats } from "./connection-stats.ts";
import type { FilterChain } from "./filter-chain.ts";
import type { DateHeader } from "./http-date.ts";
import type { Http2CodecStats } from "./http2/codec-stats.ts";
import type { RenderReply } from "./local-replies.ts";
import type { Settings } from "./settings.ts";
import type { UpgradeChains } from "./upgrade-chains.ts";

export interface Manager {
  readonly env: HttpFilterEnv;
  readonly settings: Settings;
  /** Of streams, for limits that are kept to the millisecond. */
  readonly deadlines: Deadlines;
  readonly stats: ConnectionStats;
  readonly http2Stats: () => Http2CodecStats;
  readonly date: DateHeader;
  readonly chain: FilterChain;
  readonly upgrades: UpgradeChains;
  /** The route table in force; undefined until one came. */
  routes(): RouteTable | undefined;
  readonly renderReply: RenderReply;
  readonly tracer: Tracer | undefined;
  /** Requests leave the workload here: by the listener's traffic direction. */
  readonly isEgress: boolean;
  /** Undefined where nothing is logged. */
  readonly accessLog: AccessLogger | undefined;
}
