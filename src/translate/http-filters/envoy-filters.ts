/** Filters of Envoy itself that stand in every chain. */
import { bool, packAny } from "@meltemi/protos";
import type { HttpFilter } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { supports } from "../network-filters/filter-facts.ts";
import type { HttpFilterStage } from "./http-filter-context.ts";

const grpcWebFilter: HttpFilter = {
  name: "envoy.filters.http.grpc_web",
  typed_config: packAny("envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", {}),
};

// One statistic for all methods: names of methods come from clients and would grow without bound.
const grpcStatsFilter: HttpFilter = {
  name: "envoy.filters.http.grpc_stats",
  typed_config: packAny("envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", {
    emit_filter_state: true,
    stats_for_all_methods: bool(false),
  }),
};

const faultFilter: HttpFilter = {
  name: "envoy.filters.http.fault",
  typed_config: packAny("envoy.extensions.filters.http.fault.v3.HTTPFault", {}),
};

const corsFilter: HttpFilter = {
  name: "envoy.filters.http.cors",
  typed_config: packAny("envoy.extensions.filters.http.cors.v3.Cors", {}),
};

const routerFilter: HttpFilter = {
  name: "envoy.filters.http.router",
  typed_config: packAny("envoy.extensions.filters.http.router.v3.Router", {}),
};

const quietRouterFilter: HttpFilter = {
  name: "envoy.filters.http.router",
  typed_config: packAny("envoy.extensions.filters.http.router.v3.Router", { suppress_envoy_headers: true }),
};

export const grpcWeb: HttpFilterStage = ({ facts, protocol }) =>
  protocol === "GRPC-Web" && supports(facts, "envoy.filters.http.grpc_web") ? [grpcWebFilter] : [];

export const grpcStats: HttpFilterStage = ({ facts }) =>
  supports(facts, "envoy.filters.http.grpc_stats") ? [grpcStatsFilter] : [];

export const fault: HttpFilterStage = ({ facts }) => (supports(facts, "envoy.filters.http.fault") ? [faultFilter] : []);

export const cors: HttpFilterStage = ({ facts }) => (supports(facts, "envoy.filters.http.cors") ? [corsFilter] : []);

const statefulSessionFilter: HttpFilter = {
  name: "envoy.filters.http.stateful_session",
  typed_config: packAny("envoy.extensions.filters.http.stateful_session.v3.StatefulSession", {}),
};

/** Without sessions of its own; virtual hosts and routes of services that keep some say how (PILOT_ENABLE_PERSISTENT_SESSION_FILTER). */
export const statefulSession: HttpFilterStage = ({ facts, listenerClass }) =>
  facts.features.persistentSessions &&
  listenerClass !== "sidecarInbound" &&
  supports(facts, "envoy.filters.http.stateful_session")
    ? [statefulSessionFilter]
    : [];

export const router: HttpFilterStage = ({ headers }) => [
  headers.suppressesDebugHeaders ? quietRouterFilter : routerFilter,
];
