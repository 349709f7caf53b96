/** Which virtual host and route a request is for, as Envoy's documentation of routes says (config/route/v3). */
import type { ModelRequest } from "./request.ts";
import type { HeaderRule, HostSpec, QueryRule, RouteMatch, RouteSpec, TableSpec } from "./world.ts";

type Headers = Readonly<Record<string, string>>;

/** Exact names go first, then the longest "*.name", then the longest "name.*", then "*". */
export function findHost(table: TableSpec, name: string): HostSpec | undefined {
  const lower = name.toLowerCase();
  let [best, bestRank] = [undefined as HostSpec | undefined, -1];
  for (const host of table.hosts) {
    for (const domain of host.domains) {
      const rank = rankDomain(domain, lower);
      if (rank > bestRank) [best, bestRank] = [host, rank];
    }
  }
  return best;
}

function rankDomain(domain: string, name: string): number {
  if (domain === "*") return 0;
  if (domain.startsWith("*"))
    return name.endsWith(domain.slice(1)) && name.length >= domain.length ? 1000 + domain.length : -1;
  if (domain.endsWith("*"))
    return name.startsWith(domain.slice(0, -1)) && name.length >= domain.length ? domain.length : -1;
  return domain === name ? 10_000 : -1;
}

export function findRoute({ routes }: HostSpec, request: ModelRequest): RouteSpec | undefined {
  return routes.find(({ match }) => matchesRoute(match, request));
}

export function matchesRoute(match: RouteMatch, { path, headers }: ModelRequest): boolean {
  if (match.fraction === 0 || !matchesPath(match, withoutQuery(path))) return false;
  const query = new URLSearchParams(path.split("?")[1] ?? "");
  return (
    match.headers.every((rule) => matchesHeader(rule, headers)) &&
    match.query.every((rule) => matchesQuery(rule, query))
  );
}

export function withoutQuery(path: string): string {
  return path.split("?")[0] ?? path;
}

function matchesPath({ kind, path: wanted, isCaseSensitive }: RouteMatch, given: string): boolean {
  if (kind === "regex") return new RegExp(`^(?:${wanted})$`).test(given);
  const [expected, path] = isCaseSensitive ? [wanted, given] : [wanted.toLowerCase(), given.toLowerCase()];
  if (kind === "exact") return path === expected;
  if (kind === "prefix") return path.startsWith(expected);
  return path === expected || path.startsWith(`${expected}/`);
}

/** A header that is missing matches no rule but that it must not be present. */
export function matchesHeader({ name, kind, value, isInverted }: HeaderRule, headers: Headers): boolean {
  const given = headers[name];
  if (kind === "present") return (given !== undefined) !== isInverted;
  return given !== undefined && matchesValue(kind, value, given) !== isInverted;
}

function matchesValue(kind: HeaderRule["kind"], value: string, given: string): boolean {
  if (kind === "exact") return given === value;
  if (kind === "prefix") return given.startsWith(value);
  if (kind === "suffix") return given.endsWith(value);
  if (kind === "contains") return given.includes(value);
  if (kind === "regex") return new RegExp(`^(?:${value})$`).test(given);
  return /^-?\d+$/.test(given) && Number(given) >= 10 && Number(given) < 50;
}

function matchesQuery({ name, kind, value }: QueryRule, query: URLSearchParams): boolean {
  const given = query.get(name);
  if (given === null) return false;
  if (kind === "present") return true;
  return kind === "exact" ? given === value : given.startsWith(value);
}
