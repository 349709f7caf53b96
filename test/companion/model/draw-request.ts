/** Requests at random, most of them such that some route is for them. */
import type { Draw } from "./draw.ts";
import { headerValues, ruleHeaders } from "./draw.ts";
import { chainName } from "./draw-listeners.ts";
import type { Ask, ModelRequest } from "./request.ts";
import { findChain, type HeaderRule, type HostSpec, type RouteSpec, type TableSpec, type World } from "./world.ts";

const paths = [
  "/",
  "/a",
  "/a/b",
  "/a/bc",
  "/ab",
  "/shop",
  "/SHOP/cart",
  "/shop/cart",
  "/api/v1/x",
  "/api/v1",
  "/API",
  "/q",
];
const hosts = ["one.test", "two.test", "a.three.test", "b.test", "four.example", "ONE.test", "other.example"];
const streamMethods = { echo: "POST", upgrade: "GET" } as const;
const largestBody = 48 * 1024;

export interface RequestWish {
  readonly id: number;
  readonly slot: string;
  readonly ask: Ask;
}

export function drawRequest(draw: Draw, world: World, { id, slot, ask }: RequestWish): ModelRequest {
  const { random } = draw;
  const sni = slot.startsWith("tls") ? random.pick([chainName, "else.test"]) : undefined;
  const chain = findChain(world, slot, sni);
  const routes = chain?.kind === "http" ? chain.routes : undefined;
  const table = routes?.kind === "rds" ? world.tables.get(routes.table) : routes?.table;
  const host = table === undefined || random.chance(12) ? undefined : random.pick(table.hosts);
  const route = host === undefined || host.routes.length === 0 ? undefined : random.pick(host.routes);
  const isStream = ask === "echo" || ask === "upgrade";
  const any = random.chance(30) ? "POST" : random.pick(["GET", "GET", "DELETE"] as const);
  const method = isStream ? streamMethods[ask] : any;
  return {
    ...{ id, slot, sni, ask },
    protocol: ask === "upgrade" || random.chance(60) ? "http1" : "http2",
    isAlone: random.chance(20),
    method,
    host: drawHostName(draw, table, host),
    path: drawPath(draw, route),
    headers: drawHeaders(draw, world, route),
    bodySize: method === "POST" && !isStream ? random.pick([0, 1, 1000, random.below(largestBody)]) : 0,
  };
}

function drawHostName({ random }: Draw, table: TableSpec | undefined, host: HostSpec | undefined): string {
  const domain = host === undefined || table === undefined ? undefined : random.pick(host.domains);
  if (domain === undefined || domain === "*") return random.pick(hosts);
  return domain.replace("*.", "any.").replace(".*", ".example");
}

function drawPath({ random }: Draw, route: RouteSpec | undefined): string {
  const query = route?.match.query[0];
  const wanted = query === undefined || random.chance(20) ? undefined : `${query.name}=${query.value}`;
  const asked = wanted ?? (random.chance(15) ? `q=${random.pick(headerValues)}` : undefined);
  const suffix = asked === undefined ? "" : `?${asked}`;
  if (route === undefined || route.match.kind === "regex" || random.chance(25)) return random.pick(paths) + suffix;
  const { path, kind } = route.match;
  const end = kind === "exact" ? "" : random.pick(["", "/x", "/cart"]);
  return `${path}${path.endsWith("/") ? end.slice(1) : end}${suffix}`;
}

function drawHeaders({ random }: Draw, world: World, route: RouteSpec | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of ruleHeaders) if (random.chance(35)) headers[name] = random.pick(headerValues);
  const rule = route?.match.headers[0];
  if (rule !== undefined && random.chance(75)) Object.assign(headers, satisfy(rule));
  const { action } = route ?? {};
  if (action?.kind === "forward" && action.target.kind === "header" && random.chance(85)) {
    const names = [...world.clusters.values()].filter(({ protocol }) => protocol !== "tcp").map(({ name }) => name);
    headers["x-cluster"] = random.chance(90) ? random.pick(names) : "no-such-cluster";
  }
  return headers;
}

function satisfy({ name, kind, value }: HeaderRule): Record<string, string> {
  const words = {
    range: "42",
    regex: "one",
    present: "two",
    exact: value,
    prefix: value,
    suffix: value,
    contains: value,
  };
  return { [name]: words[kind] };
}
