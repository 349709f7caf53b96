/** Compares what was observed with what a behaviour expects; the result is a list of what is not as it should be. */
import type { EchoedRequest } from "../../support/echo-upstreams.ts";
import type { Observation } from "./ask.ts";
import type { Expectation, Matcher, Matchers, SeenExpectation } from "./behaviour.ts";

/** Everything that came of a request that was sent `count` times. */
export interface Outcome {
  readonly observations: readonly Observation[];
  /** What came to upstreams, answered or not. */
  readonly received: readonly EchoedRequest[];
}

/** What differs, in words; empty where all is as expected. */
export function checkExpectation(expect: Expectation, outcome: Outcome): readonly string[] {
  const { observations } = outcome;
  return [
    ...new Set(observations.flatMap((observation) => checkOne(expect, observation))),
    ...checkStatuses(expect, observations),
    ...checkUpstreams(expect, observations),
    ...checkShares(expect, observations),
    ...checkConnections(expect, observations),
    ...checkReceived(expect, outcome),
    ...checkCopies(expect, outcome),
  ];
}

function checkOne(expect: Expectation, observation: Observation): readonly string[] {
  const { seen, status, headers, trailers, body, tookMs, error, grpc, tls } = observation;
  const wantsError = expect.error !== undefined;
  if (error !== undefined && !wantsError) return [`failed: ${error}`];
  return [
    ...(expect.status === undefined || expect.status === status ? [] : [`status ${status}`]),
    ...checkMatcher("error", expect.error, error),
    ...checkMatchers("header", expect.headers, headers),
    ...checkMatchers("trailer", expect.trailers, trailers),
    ...checkMatcher("body", expect.body, body),
    ...(expect.seen === undefined ? [] : checkSeen(expect.seen, seen)),
    ...(tookMs >= (expect.atLeastMs ?? 0) ? [] : [`took ${Math.round(tookMs)} ms only`]),
    ...(expect.grpc === undefined || expect.grpc.status === grpc?.status ? [] : [`gRPC status ${grpc?.status}`]),
    ...checkMatcher("gRPC message", expect.grpc?.message, grpc?.message),
    ...checkMatcher("names of the server", expect.tls?.names, tls?.names),
    ...checkMatcher("protocol", expect.tls?.protocol, tls?.protocol),
    ...checkMatcher("cipher", expect.tls?.cipher, tls?.cipher),
  ];
}

function checkSeen(expect: SeenExpectation, seen: EchoedRequest | undefined): readonly string[] {
  if (seen === undefined) return ["no upstream answered"];
  return [
    ...checkMatcher("method at the upstream", expect.method, seen.method),
    ...checkMatcher("path at the upstream", expect.path, seen.path),
    ...checkMatcher("host at the upstream", expect.host, seen.host),
    ...checkMatcher("HTTP version at the upstream", expect.http, seen.http),
    ...checkMatcher("body at the upstream", expect.body, seen.body),
    ...checkMatchers("at the upstream, header", expect.headers, seen.headers),
    ...checkMatcher("SNI at the upstream", expect.tls?.sni, seen.tls?.sni),
    ...checkMatcher("client certificate at the upstream", expect.tls?.client, seen.tls?.client),
  ];
}

function checkMatchers(what: string, matchers: Matchers = {}, values: Readonly<Record<string, string>>): string[] {
  return Object.entries(matchers).flatMap(([name, matcher]) =>
    checkMatcher(`${what} ${name}`, matcher, values[name.toLowerCase()]),
  );
}

function checkMatcher(what: string, matcher: Matcher | undefined, value: string | undefined): string[] {
  if (matcher === undefined || isMatch(matcher, value)) return [];
  return [`${what} ${value === undefined ? "is missing" : `is ${JSON.stringify(value)}`}`];
}

function isMatch(matcher: Matcher, value: string | undefined): boolean {
  if (matcher === null || value === undefined) return matcher === null && value === undefined;
  if (matcher === true) return true;
  return typeof matcher === "object" ? new RegExp(matcher.matches).test(value) : value === String(matcher);
}

/** Whom an observation is from: our upstream's own word, or the first word of what a TCP connection said. */
function findUpstream({ seen, body, status }: Observation): string | undefined {
  if (seen !== undefined) return seen.upstream;
  return status === 0 ? /^[a-z0-9]+/.exec(body)?.[0] : undefined;
}

function checkUpstreams({ upstream }: Expectation, observations: readonly Observation[]): readonly string[] {
  if (upstream === undefined) return [];
  const met = new Set(observations.map((observation) => findUpstream(observation) ?? "nobody"));
  const found = [...met].sort().join(", ");
  if (upstream === "same") return met.size === 1 && !met.has("nobody") ? [] : [`answered by ${found}`];
  const wanted = [upstream ?? "nobody"].flat().sort().join(", ");
  return wanted === found ? [] : [`answered by ${found}`];
}

function checkStatuses({ statuses }: Expectation, observations: readonly Observation[]): readonly string[] {
  if (statuses === undefined) return [];
  const met = [...new Set(observations.map(({ status }) => status))].sort((a, b) => a - b);
  return met.join() === [...statuses].sort((a, b) => a - b).join() ? [] : [`statuses ${met.join(", ")}`];
}

function checkShares({ shares, tolerance = 15 }: Expectation, observations: readonly Observation[]): readonly string[] {
  if (shares === undefined) return [];
  const counts = countBy(observations, (observation) => findUpstream(observation) ?? `status ${observation.status}`);
  const names = new Set([...Object.keys(shares), ...counts.keys()]);
  const isOff = [...names].some((name) => {
    const percent = (100 * (counts.get(name) ?? 0)) / observations.length;
    const wanted = shares[name] ?? 0;
    // What has no share gets nothing at all, what has everything gets it all.
    const allowed = wanted === 0 || wanted === 100 ? 0 : tolerance;
    return Math.abs(percent - wanted) > allowed;
  });
  return isOff ? [`shares ${formatCounts(counts)}`] : [];
}

function checkConnections({ connections }: Expectation, observations: readonly Observation[]): readonly string[] {
  if (connections === undefined) return [];
  const used = new Set(observations.map(({ seen }) => `${seen?.upstream} ${seen?.connection}`));
  return used.size === connections ? [] : [`${used.size} connections to upstreams`];
}

/** Requests that came to upstreams, for each one sent. */
function checkReceived({ received }: Expectation, outcome: Outcome): readonly string[] {
  if (received === undefined) return [];
  const counts = countBy(outcome.received, ({ upstream }) => upstream);
  const sent = outcome.observations.length;
  const names = new Set([...Object.keys(received), ...counts.keys()]);
  const isOff = [...names].some((name) => (counts.get(name) ?? 0) !== (received[name] ?? 0) * sent);
  return isOff ? [`upstreams received ${formatCounts(counts) || "nothing"}`] : [];
}

function checkCopies({ copies = {} }: Expectation, outcome: Outcome): readonly string[] {
  return Object.entries(copies).flatMap(([upstream, expect]) => {
    const requests = outcome.received.filter((request) => request.upstream === upstream);
    if (requests.length === 0) return [`${upstream} received no copy`];
    return requests.flatMap((request) => checkSeen(expect, request)).map((text) => `copy for ${upstream}: ${text}`);
  });
}

function countBy<T>(list: readonly T[], nameOf: (item: T) => string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const item of list) counts.set(nameOf(item), (counts.get(nameOf(item)) ?? 0) + 1);
  return counts;
}

const formatCounts = (counts: ReadonlyMap<string, number>): string =>
  [...counts].map(([name, count]) => `${name}: ${count}`).join(", ");
