/** Clusters at random. */
import type { Draw } from "./draw.ts";
import { type ClusterSpec, type EndpointSpec, type Protocol, protocolOf, versions, type World } from "./world.ts";

const mostEndpoints = 4;

export function drawCluster(draw: Draw, protocol: Protocol, upstreams: readonly string[]): ClusterSpec {
  const { random } = draw;
  return {
    name: draw.fresh(protocol),
    protocol,
    isByEds: random.chance(75),
    policy: drawPolicy(draw),
    panicThreshold: random.pick([0, 50, 50, 50, 80]),
    fallback: protocol !== "tcp" && random.chance(30) ? random.pick(["none", "any", "v1"] as const) : undefined,
    endpoints: random
      .some(upstreamsOf(upstreams, protocol), 1 + random.below(mostEndpoints))
      .map((upstream) => drawEndpoint(draw, upstream)),
  };
}

export function drawPolicy({ random }: Draw): ClusterSpec["policy"] {
  return random.pick(["ROUND_ROBIN", "ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"] as const);
}

export function upstreamsOf(upstreams: readonly string[], protocol: Protocol): readonly string[] {
  return upstreams.filter((name) => protocolOf(name) === protocol);
}

export function drawEndpoint({ random }: Draw, upstream: string): EndpointSpec {
  return {
    upstream,
    health: random.chance(85) ? "HEALTHY" : random.pick(["UNHEALTHY", "DRAINING"] as const),
    weight: 1 + random.below(3),
    version: random.pick(versions),
    priority: random.chance(88) ? 0 : 1,
  };
}

/** One endpoint more, less or other. */
export function changeEndpoints(draw: Draw, cluster: ClusterSpec, upstreams: readonly string[]): ClusterSpec {
  const { random } = draw;
  const { endpoints } = cluster;
  const taken = new Set(endpoints.map(({ upstream }) => upstream));
  const free = upstreamsOf(upstreams, cluster.protocol).filter((upstream) => !taken.has(upstream));
  const kind = random.pick(["add", "add", "remove", "change", "change"] as const);
  if (kind === "add" && free.length > 0 && endpoints.length < mostEndpoints) {
    return { ...cluster, endpoints: [...endpoints, drawEndpoint(draw, random.pick(free))] };
  }
  const index = random.below(Math.max(1, endpoints.length));
  if (kind === "remove" || endpoints.length === 0) {
    return { ...cluster, endpoints: endpoints.filter((_endpoint, position) => position !== index) };
  }
  return {
    ...cluster,
    endpoints: endpoints.map((endpoint, position) =>
      position === index ? drawEndpoint(draw, endpoint.upstream) : endpoint,
    ),
  };
}

export function clusterNames({ clusters }: World, isTcp: boolean): readonly string[] {
  return [...clusters.values()].filter(({ protocol }) => (protocol === "tcp") === isTcp).map(({ name }) => name);
}
