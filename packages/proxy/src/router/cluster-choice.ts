/** The cluster of a request: named by the route, by a header, or drawn from weights. */
import type { RouteAction, WeightedCluster } from "@meltemi/protos/envoy/config/route/v3";
import type { Exchange } from "../http/exchange.ts";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import { readRequestHeader } from "../matchers/header-matcher.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import type { RouteEnv } from "./types.ts";

/** Gives the route for a request: the same object for all requests that go the same way. */
export type RouteChoice = (exchange: Exchange) => CompiledRoute;

type WeightWire = NonNullable<WeightedCluster["clusters"]>[number];

export interface RouteFactory {
  /** The route to a cluster; `weight` changes it where it was drawn. */
  create(cluster: string, weight?: WeightWire): CompiledRoute;
  /** The same with another cluster. */
  withCluster(route: CompiledRoute, cluster: string): CompiledRoute;
}

/** Throws ConfigError. */
export function compileClusterChoice(wire: RouteAction, factory: RouteFactory, env: RouteEnv): RouteChoice {
  const { cluster, cluster_header: header, weighted_clusters: weighted } = wire;
  if (weighted !== undefined) return within("weighted_clusters", () => compileWeights(weighted, factory, env));
  if (header !== undefined) {
    if (header === "") throw new ConfigError("cluster_header", "must not be empty");
    return byHeader(header, factory.create(""), factory);
  }
  if (wire.cluster_specifier_plugin !== undefined)
    throw new ConfigError("cluster_specifier_plugin", "is not supported");
  if (wire.inline_cluster_specifier_plugin !== undefined) {
    throw new ConfigError("inline_cluster_specifier_plugin", "is not supported");
  }
  if (cluster === undefined || cluster === "") throw new ConfigError("", "names no cluster");
  const route = factory.create(cluster);
  return () => route;
}

function byHeader(header: string, route: CompiledRoute, factory: RouteFactory): RouteChoice {
  const name = header.toLowerCase();
  const read = name.startsWith(":")
    ? readRequestHeader(name)
    : ({ headers }: HttpRequest): string | undefined => headers.get(name);
  return ({ request }) => factory.withCluster(route, read(request) ?? "");
}

interface WeightedChoice {
  readonly weight: number;
  readonly runtimeKey: string;
  readonly choose: RouteChoice;
}

function compileWeights(wire: WeightedCluster, factory: RouteFactory, env: RouteEnv): RouteChoice {
  const prefix = wire.runtime_key_prefix ?? "";
  const choices = (wire.clusters ?? []).map((one, index) =>
    within(`clusters[${index}]`, () => compileWeight(one, prefix, factory)),
  );
  const total = choices.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 0) throw new ConfigError("", "the sum of weights must be greater than 0");
  if (total > 0xffffffff) throw new ConfigError("", "the sum of weights must be less than 2^32");
  const headerName = (wire.header_name ?? "").toLowerCase();
  return (exchange) => {
    const fixed = headerName === "" ? undefined : numberOf(exchange.request.headers.getAll(headerName));
    const weights = prefix === "" ? undefined : choices.map((one) => env.runtime.number(one.runtimeKey, one.weight));
    const sum = weights === undefined ? total : weights.reduce((all, weight) => all + weight, 0) || total;
    const drawn = fixed === undefined ? Math.floor(env.random() * sum) : Number(fixed % BigInt(sum));
    return pick(choices, weights, drawn).choose(exchange);
  };
}

function pick(
  choices: readonly WeightedChoice[],
  weights: readonly number[] | undefined,
  drawn: number,
): WeightedChoice {
  let end = 0;
  for (const [index, choice] of choices.entries()) {
    end += weights?.[index] ?? choice.weight;
    if (drawn < end) return choice;
  }
  const last = choices.at(-1);
  if (last === undefined) throw new RangeError("weighted clusters are never empty");
  return last;
}

function compileWeight(wire: WeightWire, prefix: string, factory: RouteFactory): WeightedChoice {
  const { name = "", cluster_header: header = "", weight } = wire;
  if (name !== "" && header !== "") throw new ConfigError("", "takes only one of name and cluster_header");
  if (name === "" && header === "") throw new ConfigError("", "one of name and cluster_header is required");
  if (weight === undefined) throw new ConfigError("weight", "is required");
  const route = factory.create(name, wire);
  return {
    weight: weight.value ?? 0,
    runtimeKey: `${prefix}.${name}`,
    choose: header === "" ? () => route : byHeader(header, route, factory),
  };
}

/** A single value that is a 64-bit number; anything else is as if there were none. */
function numberOf(values: readonly string[]): bigint | undefined {
  const [value = ""] = values;
  if (values.length !== 1 || !/^\d{1,20}$/.test(value)) return undefined;
  const number = BigInt(value);
  return number < 1n << 64n ? number : undefined;
}
