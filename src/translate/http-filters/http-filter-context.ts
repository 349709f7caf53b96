import type { DnsCacheConfig } from "@meltemi/protos/envoy/extensions/common/dynamic_forward_proxy/v3";
import type { HttpFilter } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { Protocol } from "../../lib/protocol.ts";
import type { FilterFacts, ListenerClass } from "../network-filters/filter-facts.ts";
import type { ProxyHeaders } from "../telemetry/proxy-headers.ts";

/** What the stages of a chain of HTTP filters may read. */
export interface HttpFilterContext {
  readonly facts: FilterFacts;
  readonly listenerClass: ListenerClass;
  /** Protocol of the port; where services share a listener, that of the first. */
  readonly protocol: Protocol;
  readonly headers: ProxyHeaders;
  /** Where names of requests are looked up that go to whatever host they name. */
  readonly dnsCaches: readonly DnsCacheConfig[];
}

/** One place in the order of HTTP filters: the filters that stand there for a listener, none where it needs none. */
export type HttpFilterStage = (context: HttpFilterContext) => readonly HttpFilter[];
