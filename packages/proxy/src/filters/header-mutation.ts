/** Headers of requests and answers changed as configuration says, at every level of the route table. */
import type { HeaderMutation as Mutation } from "@meltemi/protos/envoy/config/common/mutation_rules/v3";
import type {
  HeaderMutation,
  HeaderMutationPerRoute,
  Mutations,
} from "@meltemi/protos/envoy/extensions/filters/http/header_mutation/v3";
import type { HttpFilterFactory } from "../http/exchange.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import {
  compileHeaderMutation,
  entryOf,
  type HeaderMutation as RunMutation,
  runMutations,
} from "../router/header-mutation.ts";
import { withAnswer } from "./answer.ts";

interface CompiledMutations {
  readonly request: readonly RunMutation[];
  readonly response: readonly RunMutation[];
}

export const headerMutationFactory: HttpFilterFactory<HeaderMutation, CompiledMutations> = {
  name: "envoy.filters.http.header_mutation",
  type: "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
  routeTypes: ["envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute"],
  compileRoute: (config) => within("mutations", () => compileMutations((config as HeaderMutationPerRoute).mutations)),
  compile(config) {
    const own = within("mutations", () => compileMutations(config.mutations));
    const isClosestLast = config.most_specific_header_mutations_wins === true;
    return {
      handle(exchange, next) {
        const levels = exchange.perRouteAll(headerMutationFactory);
        const all = [own, ...(isClosestLast ? levels.toReversed() : levels)];
        const { request, info } = exchange;
        const asked = entryOf(exchange);
        for (const level of all) runMutations(level.request, request.headers, asked);
        if (all.every(({ response }) => response.length === 0)) return next(exchange);
        return withAnswer(exchange, next, ({ status, headers }) => {
          info.responseCode ??= status;
          const answered = entryOf(exchange, headers);
          for (const level of all) runMutations(level.response, headers, answered);
        });
      },
    };
  },
};

/** Throws ConfigError. */
function compileMutations(wire: Mutations = {}): CompiledMutations {
  return {
    request: compileAll("request_mutations", wire.request_mutations, (one) => compileMutation(one, "request")),
    response: compileAll("response_mutations", wire.response_mutations, (one) => compileMutation(one, "response")),
  };
}

/** Each on its own, as they run in their order. */
function compileMutation({ append, remove }: Mutation, kind: "request" | "response"): RunMutation {
  const mutation = compileHeaderMutation(append && [append], remove === undefined ? undefined : [remove], kind);
  if (!mutation) throw new ConfigError("", "remove or append is required");
  return mutation;
}
