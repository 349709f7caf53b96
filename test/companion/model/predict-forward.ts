/** What comes of a request that a route sends to a cluster. */
import { listHosts } from "./choose-hosts.ts";
import type { Choice, Expectation, ForwardedAnswer, LocalAnswer } from "./expectation.ts";
import { withoutQuery } from "./match-route.ts";
import { changeHeaders } from "./mutate-headers.ts";
import { type ModelRequest, requestHeaders, responseHeaders, upstreamResponseHeaders } from "./request.ts";
import { rewritePrefix } from "./rewrite-path.ts";
import { type RouteFound, reply, type Situation } from "./situation.ts";
import type { ClusterSpec, Forward, Mirror, Retry, RouteSpec, World } from "./world.ts";

/** After this an upstream that was asked to stall answers all the same. */
export const longestStallMs = 10_000;
/** What a client is told when a cluster has no host to ask. */
export const noHealthyUpstream = "no healthy upstream";

interface Plan {
  readonly situation: Situation;
  readonly found: RouteFound;
  readonly action: Forward;
  readonly shadows: LocalAnswer["shadows"];
}

export function predictForward(situation: Situation, found: RouteFound, action: Forward): readonly Expectation[] {
  const { world, request } = situation;
  const plan: Plan = { situation, found, action, shadows: countShadows(world, action.mirrors, request) };
  return listTargets(action, request).flatMap((name) => {
    const cluster = world.clusters.get(name);
    if (cluster === undefined) return [reply(situation.chain, 503)];
    return predictCluster(plan, cluster);
  });
}

/** Names of clusters that a request may go to. */
export function listTargets({ target }: Forward, { headers }: ModelRequest): readonly string[] {
  if (target.kind === "cluster") return [target.cluster];
  if (target.kind === "header") return [headers["x-cluster"] ?? ""];
  return target.parts.filter(({ weight }) => weight > 0).map(({ cluster }) => cluster);
}

function countShadows(world: World, mirrors: readonly Mirror[], { ask }: ModelRequest): LocalAnswer["shadows"] {
  const active = mirrors.filter(({ percent }) => percent === 100);
  // Whether copies of what streams come through to the end is nobody's promise.
  if (ask === "echo" || ask === "upgrade") return { least: 0, most: active.length };
  const sure = active.filter(({ cluster: name }) => {
    const cluster = world.clusters.get(name);
    const hosts = cluster === undefined ? [] : [...listHosts(cluster, undefined)];
    return hosts.length > 0 && hosts.every((host) => world.upstreams.get(host) !== "down");
  });
  return { least: sure.length, most: active.length };
}

/** Everything that may become of a request at one cluster. */
function predictCluster(plan: Plan, cluster: ClusterSpec): readonly Expectation[] {
  const { situation, action, shadows } = plan;
  const { world, chain, request } = situation;
  const hosts = [...listHosts(cluster, action.version)];
  if (hosts.length === 0) return [reply(chain, 503, noHealthyUpstream)];
  const inState = (...states: readonly string[]): readonly string[] =>
    hosts.filter((host) => states.includes(world.upstreams.get(host) ?? ""));
  const [good, failing, down] = [inState("up", "slow"), inState("failing"), inState("down")];
  const most = 1 + (action.retry?.times ?? 0);
  const answer = { ...forwarded(plan, cluster), attempts: { least: 1, most }, tried: new Set(failing), shadows };
  const stallMs = request.ask === "stall" ? longestStallMs : 0;
  const results: ForwardedAnswer[] = [];
  if (good.length > 0)
    results.push({ ...answer, status: request.ask === "upgrade" ? 101 : 200, hosts: new Set(good), leastMs: stallMs });
  if (failing.length > 0) {
    // Where it would be tried again it is the last of all tries.
    const least = isRetried(action.retry, "answer") ? most : 1;
    // A host that is down costs a try that nobody sees.
    const seen = isRetried(action.retry, "connect") && down.length > 0 ? 1 : least;
    results.push({ ...answer, status: 503, hosts: new Set(failing), attempts: { least: seen, most } });
  }
  // A crowded machine may have let the time of a try pass, whoever it was sent to.
  const tryMs = action.retry?.perTryTimeoutMs;
  if (tryMs !== undefined) results.push(...results.map((each) => afterTimeout(each, tryMs, hosts)));
  const unanswered = { ...answer, attempts: { least: 0, most } };
  const failures = down.length > 0 ? [connectFailure(plan, unanswered)] : [];
  return [...results, ...failures, ...timeouts(plan, { ...unanswered, tried: new Set(hosts) })];
}

function afterTimeout(answer: ForwardedAnswer, tryMs: number, hosts: readonly string[]): ForwardedAnswer {
  const leastMs = Math.max(answer.leastMs, tryMs);
  const attempts = { ...answer.attempts, least: 1 };
  return { ...answer, leastMs, attempts, tried: new Set(hosts), isUnordered: true };
}

function connectFailure({ situation }: Plan, { attempts, tried }: Counted): LocalAnswer {
  const body = { kind: "begins", text: "upstream connect error or disconnect/reset before headers" } as const;
  // What is sent beside a failed connection may be seen or not.
  return { ...reply(situation.chain, 503), body, attempts, tried, shadows: { least: 0, most: 9 } };
}

type Counted = Pick<LocalAnswer, "attempts" | "tried" | "shadows">;

/** An answer that did not come in the time that the route has for it: at once expected only of those who stall. */
function timeouts({ situation, action }: Plan, { attempts, tried, shadows }: Counted): readonly Expectation[] {
  const limits = [action.timeoutMs, action.retry?.perTryTimeoutMs].filter((each) => each !== undefined);
  if (limits.length === 0) return [];
  const answer = reply(situation.chain, 504, "upstream request timeout");
  const leastMs = Math.min(...limits);
  const late = { ...answer, leastMs, attempts, tried, shadows: { ...shadows, least: 0 } };
  // One that has begun is cut off by the time for the whole, not by that for a try.
  return action.timeoutMs === undefined ? [late] : [late, { kind: "cut", leastMs: action.timeoutMs }];
}

function isRetried(retry: Retry | undefined, failure: "answer" | "connect"): boolean {
  if (retry === undefined || retry.times === 0) return false;
  if (retry.on === "connect-failure") return failure === "connect";
  return retry.on !== "retriable-status-codes" || failure === "answer";
}

function forwarded(
  { situation, found, action }: Plan,
  cluster: ClusterSpec,
): Omit<ForwardedAnswer, "attempts" | "tried" | "shadows" | "status" | "hosts"> {
  const { request, chain, table } = situation;
  const { route, host } = found;
  const levels = [route.mutations, host.mutations, table.mutations];
  const sent = changeHeaders(
    request.headers,
    levels.map((level) => ({ changes: level.request, removed: level.requestRemoved })),
    requestHeaders,
  );
  return {
    kind: "forwarded",
    serverName: chain.serverName,
    leastMs: 0,
    isUnordered: false,
    path: rewritePath(route, action, request.path),
    host: action.host ?? request.host,
    requestHeaders: sent,
    headers: changeHeaders(
      upstreamResponseHeaders,
      levels.map((level) => ({ changes: level.response, removed: level.responseRemoved })),
      responseHeaders,
    ),
    // Hashes are of headers as they are sent.
    choice: describeChoice(situation.world, sent["x-a"], { action, cluster }),
  };
}

function rewritePath({ match }: RouteSpec, { rewrite }: Forward, full: string): string {
  if (rewrite === undefined) return full;
  const path = withoutQuery(full);
  const rewritten =
    rewrite.kind === "prefix"
      ? rewritePrefix(match, path, rewrite.to)
      : path.replaceAll(new RegExp(rewrite.pattern, "g"), rewrite.to);
  return rewritten + full.slice(path.length);
}

function describeChoice(
  world: World,
  word: string | undefined,
  { action, cluster }: { readonly action: Forward; readonly cluster: ClusterSpec },
): Choice {
  const { target, version } = action;
  const isHashed = cluster.policy === "RING_HASH" || cluster.policy === "MAGLEV";
  const isOne = target.kind === "cluster" && cluster.endpoints.every(({ priority }) => priority === 0);
  // Where a host cannot be reached, another one is asked, and nobody sees that it was the second.
  const areThere = cluster.endpoints.every(({ upstream }) => world.upstreams.get(upstream) !== "down");
  const isSticky = isHashed && isOne && areThere && word !== undefined;
  const sticky = isSticky ? { cluster, word: `${version} ${word}` } : undefined;
  return { sticky, share: describeShare(world, target, version) };
}

function describeShare(
  { clusters, upstreams }: World,
  target: Forward["target"],
  version: Forward["version"],
): Choice["share"] {
  if (target.kind !== "weighted" || target.parts.length !== 2) return undefined;
  const [first, second] = target.parts;
  const [one, other] = [clusters.get(first?.cluster ?? ""), clusters.get(second?.cluster ?? "")];
  if (first === undefined || second === undefined || one === undefined || other === undefined) return undefined;
  const [hosts, others] = [listHosts(one, version), listHosts(other, version)];
  const all = [...hosts, ...others];
  const isClear = all.length === new Set(all).size && hosts.size > 0 && others.size > 0;
  if (!isClear || all.some((host) => !["up", "slow"].includes(upstreams.get(host) ?? ""))) return undefined;
  return { value: first.weight / (first.weight + second.weight), hosts };
}
