/** Sends a request to the cluster of its route. */
import type { Exchange } from "../http/exchange.ts";
import type { HttpResponse } from "../http/message.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { finishReply } from "./finish-answer.ts";
import type { ForwardRules } from "./forward-rules.ts";
import { Forwarding } from "./forwarding.ts";
import { clusterNotFound } from "./local-replies.ts";
import type { RouterEnv } from "./router-env.ts";

/** Rejects with LocalReplyError, ExchangeResetError or RestartError. */
export function forward(
  env: RouterEnv,
  exchange: Exchange,
  { route, rules }: { readonly route: CompiledRoute; readonly rules: ForwardRules },
): Promise<HttpResponse> {
  const name = route.action.kind === "forward" ? route.action.cluster : "";
  const cluster = env.clusters.find(name);
  exchange.info.clusterName = cluster === undefined ? "" : name;
  if (cluster === undefined)
    return Promise.reject(rejectUnknown(env, exchange, { route, status: rules.notFoundStatus }));
  return new Promise((resolve, reject) => {
    new Forwarding({ env, exchange, route, rules, cluster, resolve, reject }).begin();
  });
}

/** Also for routes that are there for filters alone, and name no cluster. */
export function rejectUnknown(
  env: RouterEnv,
  exchange: Exchange,
  { route, status }: { readonly route: CompiledRoute; readonly status: number },
): Error {
  env.counters.no_cluster.inc();
  return finishReply(exchange, route, { reply: clusterNotFound(status), flags: [] });
}
