/** Route tables at random. */
import { type Draw, drawFault, drawHeaderRule, drawMutations, headerValues } from "./draw.ts";
import {
  type Action,
  type FilterOverrides,
  type Forward,
  type HostSpec,
  noOverrides,
  type Redirect,
  type Retry,
  type RouteMatch,
  type RouteSpec,
  type TableSpec,
  type Target,
  versions,
} from "./world.ts";

const plainPaths = ["/", "/a", "/a/b", "/shop", "/shop/cart", "/api/v1", "/API"] as const;
const patterns = ["/a/[a-z]+", "/(shop|api)(/.*)?", "/api/v[0-9]/.*", ".*/cart"] as const;
export const domainNames = ["one.test", "two.test", "*.three.test", "*.test", "four.*", "*"] as const;
const [mostHosts, mostRoutes] = [4, 6];
/** Far above what an answer of this machine takes when nothing holds it up, most of the time. */
const shortTimeoutMs = 250;

export function drawTable(draw: Draw, name: string, clusters: readonly string[]): TableSpec {
  const { random } = draw;
  const domains = random.some(domainNames, 2 + random.below(3));
  return {
    name,
    hosts: domains.map((domain) => drawHost(draw, [domain], clusters)),
    mutations: drawMutations(draw),
  };
}

function drawHost(draw: Draw, domains: readonly string[], clusters: readonly string[]): HostSpec {
  const { random } = draw;
  const routes = Array.from({ length: 1 + random.below(mostRoutes) }, () => drawRoute(draw, clusters));
  return {
    name: draw.fresh("host"),
    domains,
    routes,
    mutations: drawMutations(draw),
    filters: random.chance(15) ? drawOverrides(draw) : noOverrides,
    requiresTls: random.chance(5),
  };
}

export function drawRoute(draw: Draw, clusters: readonly string[]): RouteSpec {
  return {
    name: draw.fresh("route"),
    match: drawMatch(draw),
    action: drawAction(draw, clusters),
    mutations: drawMutations(draw),
    filters: draw.random.chance(15) ? drawOverrides(draw) : noOverrides,
  };
}

function drawMatch(draw: Draw): RouteMatch {
  const { random } = draw;
  const kind = random.pick(["prefix", "prefix", "prefix", "exact", "regex", "separated"] as const);
  const plain = random.pick(plainPaths);
  // A separated prefix must not end with a slash.
  const path = kind === "separated" && plain === "/" ? "/a" : plain;
  const query = {
    name: random.pick(["q", "p"]),
    kind: random.pick(["exact", "prefix", "present"] as const),
    value: random.pick(headerValues),
  };
  return {
    kind,
    path: kind === "regex" ? random.pick(patterns) : path,
    isCaseSensitive: random.chance(80),
    headers: random.chance(25) ? [drawHeaderRule(draw)] : [],
    query: random.chance(12) ? [query] : [],
    fraction: random.chance(8) ? random.pick([0, 100] as const) : undefined,
  };
}

function drawAction(draw: Draw, clusters: readonly string[]): Action {
  const { random } = draw;
  const kind = random.below(100);
  if (kind < 82) return drawForward(draw, clusters);
  if (kind < 91) return drawRedirect(draw);
  const status = random.pick([200, 204, 404, 503]);
  return { kind: "direct", status, body: status !== 204 && random.chance(70) ? draw.fresh("text") : "" };
}

export function drawForward(draw: Draw, clusters: readonly string[]): Forward {
  const { random } = draw;
  return {
    kind: "forward",
    target: drawTarget(draw, clusters),
    rewrite: drawRewrite(draw),
    host: random.chance(15) ? "rewritten.test" : undefined,
    timeoutMs: random.chance(10) ? shortTimeoutMs : undefined,
    retry: random.chance(35) ? drawRetry(draw) : undefined,
    mirrors: random.chance(15)
      ? [{ cluster: random.pick(clusters), percent: random.pick([0, 100, 100] as const) }]
      : [],
    version: random.chance(30) ? random.pick(versions) : undefined,
  };
}

function drawTarget(draw: Draw, clusters: readonly string[]): Target {
  const { random } = draw;
  if (random.chance(5)) return { kind: "header" };
  return random.chance(30) ? drawWeights(draw, clusters) : { kind: "cluster", cluster: random.pick(clusters) };
}

export function drawWeights(
  { random }: Draw,
  clusters: readonly string[],
): Extract<Target, { readonly kind: "weighted" }> {
  const names = random.some(clusters, random.chance(75) ? 2 : 3);
  const parts = names.map((cluster) => ({ cluster, weight: random.pick([0, 1, 10, 50, 90]) }));
  const isNothing = parts.every(({ weight }) => weight === 0);
  return { kind: "weighted", parts: isNothing ? parts.map((part) => ({ ...part, weight: 1 })) : parts };
}

function drawRewrite({ random }: Draw): Forward["rewrite"] {
  const kind = random.below(100);
  if (kind < 15) return { kind: "prefix", to: random.pick(["/new", "/deep/er"]) };
  return kind < 25 ? { kind: "regex", pattern: "[aeiou]+", to: "_" } : undefined;
}

function drawRetry({ random }: Draw): Retry {
  return {
    on: random.pick(["5xx", "5xx,connect-failure,reset", "gateway-error", "connect-failure", "retriable-status-codes"]),
    times: 1 + random.below(3),
    perTryTimeoutMs: random.chance(15) ? shortTimeoutMs : undefined,
    avoidsTried: random.chance(40),
  };
}

function drawRedirect({ random }: Draw): Redirect {
  return {
    kind: "redirect",
    status: random.pick([301, 302, 303, 307, 308]),
    host: random.chance(50) ? "elsewhere.test" : undefined,
    isToHttps: random.chance(30),
    path: random.pick([undefined, { kind: "whole", to: "/moved" }, { kind: "prefix", to: "/pre" }] as const),
    stripsQuery: random.chance(30),
  };
}

function drawOverrides(draw: Draw): FilterOverrides {
  const { random } = draw;
  const rbac = random.chance(30) ? { kind: "open" as const } : { kind: "deny" as const, header: drawHeaderRule(draw) };
  return {
    fault: random.chance(50) ? drawFault(draw) : undefined,
    rbac: random.chance(50) ? rbac : undefined,
  };
}

/** One route more, less, other or elsewhere; or another set of domains; or another virtual host. */
export function changeTable(draw: Draw, table: TableSpec, clusters: readonly string[]): TableSpec {
  const { random } = draw;
  const taken = new Set(table.hosts.flatMap(({ domains }) => domains));
  const free = domainNames.filter((name) => !taken.has(name));
  const kind = random.below(100);
  if (kind < 6 && free.length > 0 && table.hosts.length < mostHosts) {
    return { ...table, hosts: [...table.hosts, drawHost(draw, [random.pick(free)], clusters)] };
  }
  const index = random.below(table.hosts.length);
  if (kind < 12 && table.hosts.length > 1) {
    return { ...table, hosts: table.hosts.filter((_host, position) => position !== index) };
  }
  if (kind < 18) return { ...table, mutations: drawMutations(draw) };
  const change = (host: HostSpec): HostSpec => {
    if (kind < 24 && free.length > 0) return { ...host, domains: [random.pick(free)] };
    if (kind < 30) return { ...host, mutations: drawMutations(draw), filters: drawOverrides(draw) };
    return { ...host, routes: changeRoutes(draw, host.routes, clusters) };
  };
  return { ...table, hosts: table.hosts.map((host, position) => (position === index ? change(host) : host)) };
}

function changeRoutes(draw: Draw, routes: readonly RouteSpec[], clusters: readonly string[]): readonly RouteSpec[] {
  const { random } = draw;
  const index = random.below(Math.max(1, routes.length));
  const kind = random.pick(["add", "remove", "replace", "act", "act", "turn"] as const);
  if ((kind === "add" && routes.length < mostRoutes) || routes.length === 0) {
    return routes.toSpliced(index, 0, drawRoute(draw, clusters));
  }
  if (kind === "remove") return routes.toSpliced(index, 1);
  if (kind === "turn") return [...routes.slice(index), ...routes.slice(0, index)];
  if (kind === "act") {
    return routes.map((route, position) =>
      position === index ? { ...route, action: drawAction(draw, clusters) } : route,
    );
  }
  return routes.toSpliced(index, 1, drawRoute(draw, clusters));
}
