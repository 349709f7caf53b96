import { expect, test } from "vitest";
import { listAlternatives } from "./alternatives.ts";
import { History } from "./history.ts";
import type { ModelRequest } from "./request.ts";
import { type ClusterSpec, type HttpChain, noMutations, noOverrides, type RouteSpec, type World } from "./world.ts";

const request: ModelRequest = {
  ...{ id: 1, slot: "plain-0", sni: undefined, protocol: "http1", isAlone: false, method: "GET", ask: "stall" },
  ...{ host: "one.test", path: "/a", headers: {}, bodySize: 0 },
};
const cluster: ClusterSpec = {
  ...{ name: "c", protocol: "http1", isByEds: true, policy: "RANDOM", panicThreshold: 0, fallback: undefined },
  endpoints: [{ upstream: "http1-0", health: "HEALTHY", weight: 1, version: "v1", priority: 0 }],
};
const route: RouteSpec = {
  name: "r",
  match: { kind: "prefix", path: "/", isCaseSensitive: true, headers: [], query: [], fraction: undefined },
  action: {
    ...{ kind: "forward", target: { kind: "cluster", cluster: "c" }, rewrite: undefined, host: undefined },
    ...{ timeoutMs: undefined, mirrors: [], version: undefined },
    retry: { on: "5xx,connect-failure,reset", times: 2, perTryTimeoutMs: 250, avoidsTried: false },
  },
  mutations: noMutations,
  filters: noOverrides,
};
const chain: HttpChain = {
  ...{ kind: "http", sni: undefined, secret: undefined, serverName: "s", filters: [], denies: undefined },
  fault: undefined,
  routes: {
    kind: "inline",
    table: {
      name: "t",
      mutations: noMutations,
      hosts: [
        {
          ...{ name: "h", domains: ["*"], routes: [route], mutations: noMutations, filters: noOverrides },
          requiresTls: false,
        },
      ],
    },
  },
};
const world: World = {
  upstreams: new Map([["http1-0", "up"]]),
  clusters: new Map([["c", cluster]]),
  ...{ tables: new Map(), listeners: new Map(), certificates: new Map() },
};

test("a request that is tried again may go on with a cluster that has gone, whose hosts have gone down since", () => {
  const history = new History(world);
  const gone = { ...world, clusters: new Map() };
  history.push(gone);
  const mayFail = (): boolean =>
    listAlternatives({
      ...{ history, request, chains: new Set([chain]) },
      span: { first: 0, last: history.pushed },
    }).some((each) => each.kind === "local" && each.status === 503 && each.body.text.startsWith("upstream connect"));
  expect(mayFail()).toBe(false);
  history.push({ ...gone, upstreams: new Map([["http1-0", "down"]]) });
  expect(mayFail()).toBe(true);
});
