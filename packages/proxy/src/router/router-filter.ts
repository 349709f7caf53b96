/** The router: the last filter of a chain, which sends requests to clusters or answers as the route says. */
import { typeNameOf } from "@meltemi/protos";
import type { Router } from "@meltemi/protos/envoy/extensions/filters/http/router/v3";
import { type Exchange, type HttpFilterFactory, LocalReplyError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import type { HttpResponse } from "../http/message.ts";
import { ConfigError } from "../lib/config-error.ts";
import { type CompiledRoute, isCompiledRoute } from "./compiled-route.ts";
import { forward, rejectUnknown } from "./forward.ts";
import { entryOf, runMutations } from "./header-mutation.ts";
import { routeNotFound } from "./local-replies.ts";
import { rewritePath } from "./prepare-request.ts";
import type { RouteAnswer } from "./redirect.ts";
import { createRouterEnv, type RouterEnv } from "./router-env.ts";

const codecType = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";

/** Options that say how often upstream logs are written change no answer. */
export const routerFactory: HttpFilterFactory<Router> = {
  name: "envoy.filters.http.router",
  type: "envoy.extensions.filters.http.router.v3.Router",
  compile(config, filterEnv) {
    for (const [index, { name = "", typed_config: any }] of (config.upstream_http_filters ?? []).entries()) {
      if (typeNameOf(any?.type_url ?? "") === codecType) continue;
      throw new ConfigError(`upstream_http_filters[${index}]`, `the filter ${name} is not supported`);
    }
    const env = createRouterEnv(config, filterEnv);
    return {
      handle: (exchange) => handle(env, exchange),
      close() {
        env.deadlines.close();
        env.log?.close();
      },
    };
  },
};

function handle(env: RouterEnv, exchange: Exchange): Promise<HttpResponse> {
  env.counters.rq_total.inc();
  const { route } = exchange;
  if (route === undefined) {
    env.counters.no_route.inc();
    return Promise.reject(routeNotFound());
  }
  if (!isCompiledRoute(route)) throw new TypeError(`the route "${route.name}" was not compiled for this router`);
  const { answer, forward: rules } = route.rules;
  if (rules !== undefined) return forward(env, exchange, { route, rules });
  if (answer !== undefined) return Promise.reject(answerDirectly(env, exchange, { route, answer }));
  return Promise.reject(rejectUnknown(env, exchange, { route, status: 503 }));
}

function answerDirectly(
  env: RouterEnv,
  exchange: Exchange,
  { route, answer }: { readonly route: CompiledRoute; readonly answer: RouteAnswer },
): LocalReplyError {
  const { request, info } = exchange;
  env.counters.rq_direct_response.inc();
  rewritePath(exchange, answer.rewritePath, env.suppressesHeaders);
  const location = answer.location?.(request);
  const headers = new HeaderList(location === undefined ? [] : ["location", location]);
  const details = "direct_response";
  info.responseCodeDetails = details;
  runMutations(route.rules.responseMutations, headers, entryOf(exchange, headers));
  return new LocalReplyError({ status: answer.status, body: answer.body, headers, details });
}
