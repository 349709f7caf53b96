/** Statistics of gRPC calls, for the cluster that they go to. */

import type { FilterConfig } from "@meltemi/protos/envoy/extensions/filters/http/grpc_stats/v3";
import type { HttpFilterEnv } from "../../config/env.ts";
import type { Exchange, HttpFilterFactory } from "../../http/exchange.ts";
import type { HeaderList } from "../../http/header-list.ts";
import type { HttpResponse } from "../../http/message.ts";
import { isGrpcType } from "../../http/rescue.ts";
import type { FilterStateObject } from "../../http/stream-info.ts";
import type { Stats } from "../../lib/stats.ts";
import { wrappedBool } from "../../lib/wrapped.ts";
import { pathOnly } from "../../matchers/path-matcher.ts";
import { watchBody } from "../body-transform.ts";
import { createFrameCounter } from "./count-frames.ts";

/** The part of names for a method; "" where methods are not told apart. */
type NameMethod = (path: string) => string;

export const grpcStatsFactory: HttpFilterFactory<FilterConfig> = {
  name: "envoy.filters.http.grpc_stats",
  type: "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
  compile(config, env) {
    const nameMethod = compileNames(config);
    const emits = config.emit_filter_state === true;
    const times = config.enable_upstream_stats === true;
    return {
      handle(exchange, next) {
        if (!isGrpcType(exchange.request.headers.get("content-type"))) return next(exchange);
        const stats = findStats(exchange, env);
        if (!stats) return next(exchange);
        const call = new Call(stats, nameMethod(exchange.request.path), exchange);
        if (emits) call.emitState();
        call.watchRequest();
        const startedAt = times ? env.clock.monotonic() : undefined;
        return next(exchange).then((response) => {
          call.watchResponse(response);
          if (startedAt !== undefined) call.recordTime(env.clock.monotonic() - startedAt);
          return response;
        });
      },
    };
  },
};

function findStats({ route }: Exchange, { clusters }: HttpFilterEnv): Stats | undefined {
  return route?.action.kind === "forward" ? clusters.find(route.action.cluster)?.stats : undefined;
}

function compileNames(config: FilterConfig): NameMethod {
  const dot = config.replace_dots_in_grpc_service_name ? "_" : ".";
  const parse = (path: string): readonly [service: string, method: string] | undefined => {
    const [, service = "", method = ""] = /^\/([^/]+)\/([^/]+)$/.exec(pathOnly(path)) ?? [];
    return method === "" ? undefined : [service, method];
  };
  const { individual_method_stats_allowlist: list } = config;
  const allowed = new Set(
    (list?.services ?? []).flatMap(({ name = "", method_names: methods = [] }) =>
      methods.map((method) => `${name}/${method}`),
    ),
  );
  const takesAll = wrappedBool(config.stats_for_all_methods, false);
  return (path) => {
    const parsed = takesAll || allowed.size > 0 ? parse(path) : undefined;
    if (!parsed) return "";
    const [service, method] = parsed;
    return takesAll || allowed.has(`${service}/${method}`) ? `${service.replaceAll(".", dot)}.${method}.` : "";
  };
}

class Call implements FilterStateObject {
  readonly #stats: Stats;
  readonly #prefix: string;
  readonly #exchange: Exchange;
  #requests = 0;
  #responses = 0;

  constructor(stats: Stats, method: string, exchange: Exchange) {
    this.#stats = stats;
    this.#prefix = `grpc.${method}`;
    this.#exchange = exchange;
  }

  emitState(): void {
    this.#exchange.info.filterState.set("envoy.filters.http.grpc_stats", this);
  }

  /** As formatters print it. */
  get text(): string {
    return JSON.stringify({ request_message_count: this.#requests, response_message_count: this.#responses });
  }

  watchRequest(): void {
    const { request } = this.#exchange;
    if (!request.body) return;
    const counter = this.#stats.counter(`${this.#prefix}request_message_count`);
    const count = createFrameCounter(() => {
      this.#requests += 1;
      counter.inc();
    });
    request.body = watchBody(request.body, { chunk: count });
  }

  watchResponse(response: HttpResponse): void {
    const inHeaders = response.headers.get("grpc-status");
    if (inHeaders !== undefined) this.#end(inHeaders);
    if (!response.body) return;
    const counter = this.#stats.counter(`${this.#prefix}response_message_count`);
    const count = createFrameCounter(() => {
      this.#responses += 1;
      counter.inc();
    });
    response.body = watchBody(response.body, {
      chunk: count,
      end: (trailers: HeaderList | undefined) => {
        const status = trailers?.get("grpc-status");
        if (status !== undefined && inHeaders === undefined) this.#end(status);
      },
    });
  }

  recordTime(ms: number): void {
    this.#stats.histogram(`${this.#prefix}upstream_rq_time`).record(ms);
  }

  #end(status: string): void {
    const isOk = status === "0";
    this.#stats.counter(`${this.#prefix}${status}`).inc();
    this.#stats.counter(`${this.#prefix}${isOk ? "success" : "failure"}`).inc();
    this.#stats.counter(`${this.#prefix}total`).inc();
  }
}
