/**
 * What routes and rules do to requests: a sidecar's Envoy with an HTTP proxy port, real upstreams on the loopback address
 * and a source that the tests change while the Envoy runs. Everything is judged by what upstreams and callers see.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { type EnvoyProcess, eventually, findFreePort, startEnvoy } from "./envoy-process.ts";
import {
  type Answer,
  ask,
  readTcp,
  type SeenRequest,
  startTcpUpstream,
  startUpstream,
  type Upstream,
} from "./upstreams.ts";

const source = createMemorySource();
const stops: (() => Promise<void>)[] = [];
let controlPlane: ControlPlane;
let envoy: EnvoyProcess;
let v1: Upstream;
let v2: Upstream;
let other: Upstream;
let proxyPort = 0;
let tcpPort = 0;

beforeAll(async () => {
  [v1, v2, other] = [await startUpstream("v1"), await startUpstream("v2"), await startUpstream("other")];
  const [red, blue] = [await startTcpUpstream("red"), await startTcpUpstream("blue")];
  [proxyPort, tcpPort] = [await findFreePort(), await findFreePort()];
  apply(describeMesh(), describeTcp(red.port, blue.port), sidecar("ALLOW_ANY"));
  controlPlane = await startTestControlPlane({ source });
  stops.push(...[v1, v2, other, red, blue].map(({ stop }) => stop), () => controlPlane.stop());
  const [host = "", port = ""] = controlPlane.grpcAddress.split(":");
  envoy = await startEnvoy({
    ...{ name: "client", namespace: "shop", labels: { app: "client" }, ip: "127.0.0.9" },
    discovery: { host, port: Number(port) },
  });
  stops.push(envoy.stop);
}, 120_000);

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

/** Applies documents; a message about any of them fails the test. */
function apply(...documents: readonly string[]): void {
  expect(source.apply(documents.join("\n---\n"))).toEqual([]);
}

const get = (path: string, headers: Readonly<Record<string, string>> = {}, host = "echo.test"): Promise<Answer> =>
  ask({ port: proxyPort, path: `http://${host}${path}`, host, headers });

/** Asks the same until the answer is as wanted, and returns that answer. */
async function until(
  what: string,
  question: () => Promise<Answer>,
  isWanted: (answer: Answer) => boolean,
): Promise<Answer> {
  let answer = await question();
  await eventually(what, async () => {
    answer = await question();
    return isWanted(answer);
  });
  return answer;
}

const isFrom =
  (upstream: string) =>
  ({ seen }: Answer): boolean =>
    seen?.upstream === upstream;

async function countUpstreams(requests: number, path = "/"): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (let count = 0; count < requests; count++) {
    const { seen, status } = await get(path);
    const name = seen?.upstream ?? String(status);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** The virtual service of echo.test, with these HTTP routes (YAML in flow style). */
function routes(...entries: readonly string[]): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo, namespace: shop}
spec:
  hosts: [echo.test]
  http: [${entries.join(", ")}]`;
}
const to = (subset: string): string => `route: [{destination: {host: echo.test, subset: ${subset}}}]`;

function weights(first: number, second: number): string {
  const entry = (subset: string, weight: number) =>
    `{destination: {host: echo.test, subset: ${subset}}, weight: ${weight}}`;
  return routes(`{route: [${entry("v1", first)}, ${entry("v2", second)}]}`);
}

describe("which upstream a request reaches", () => {
  it("is that of the subset, and follows it", async () => {
    for (const subset of ["v1", "v2", "v1"]) {
      apply(routes(`{${to(subset)}}`));
      await until(`${subset} answers`, () => get("/"), isFrom(subset));
      expect(await countUpstreams(20)).toEqual({ [subset]: 20 });
    }
  });

  it("is shared out by weights", async () => {
    apply(weights(75, 25));
    await until("v2 answers", () => get("/"), isFrom("v2"));
    const { v1: first = 0, v2: second = 0 } = await countUpstreams(400);
    expect(first + second).toBe(400);
    // 100 are expected; 50 and 150 are six standard deviations away.
    expect(second).toBeGreaterThan(50);
    expect(second).toBeLessThan(150);
    apply(weights(0, 100));
    await eventually("v1 answers no more", async () => (await countUpstreams(20))["v2"] === 20);
  });

  it.each<[string, string, Readonly<Record<string, string>>, string]>([
    ["an exact header", "{headers: {x-user: {exact: jason}}}", { "x-user": "jason" }, "/"],
    ["a prefix of a header", "{headers: {x-user: {prefix: j}}}", { "x-user": "jill" }, "/"],
    ["a header by regular expression", '{headers: {x-user: {regex: "j[ai].*"}}}', { "x-user": "jill" }, "/"],
    ["a header without something", "{withoutHeaders: {x-user: {exact: jason}}, uri: {prefix: /w}}", {}, "/w"],
    ["an exact path", "{uri: {exact: /exact}}", {}, "/exact"],
    ["a path whatever its case", "{uri: {exact: /Case}, ignoreUriCase: true}", {}, "/cASE"],
    ["a query parameter", "{queryParams: {q: {exact: a}}}", {}, "/?q=a"],
    ["a path by regular expression", '{uri: {regex: "/a[0-9]+/b"}}', {}, "/a12/b"],
  ])("depends on %s", async (_what, match, headers, path) => {
    apply(routes(`{match: [${match}], ${to("v2")}}`, `{${to("v1")}}`));
    const elsewhere = () => get("/elsewhere", { "x-user": "" });
    await until("v1 answers what does not match", elsewhere, isFrom("v1"));
    await until("v2 answers what matches", () => get(path, headers), isFrom("v2"));
    expect((await elsewhere()).seen?.upstream).toBe("v1");
    apply(routes(`{${to("v2")}}`));
    await until("there is no condition any more", elsewhere, isFrom("v2"));
  });

  it("stays the same for a value of the hashed header", async () => {
    apply(
      routes("{route: [{destination: {host: echo.test}}]}"),
      rule("loadBalancer: {consistentHash: {httpHeaderName: x-user}}"),
    );
    const users = Array.from({ length: 30 }, (_, index) => `user-${index}`);
    const findUpstream = async (user: string): Promise<string | undefined> =>
      (await get("/", { "x-user": user })).seen?.upstream;
    const findPlaces = async (): Promise<readonly (string | undefined)[]> => {
      const places = [];
      for (const user of users) places.push(await findUpstream(user));
      return places;
    };
    await eventually("users have their places", async () => {
      const places = await findPlaces();
      // Without the hash, thirty users meet the same upstreams again once in a billion times.
      return new Set(places).size === 2 && (await findPlaces()).join() === places.join();
    });
    const places = await findPlaces();
    expect([...new Set(places)].sort()).toEqual(["v1", "v2"]);
    for (let round = 0; round < 3; round++) expect(await findPlaces()).toEqual(places);
    apply(rule());
  });
});

describe("what a route does to a request", () => {
  it("rewrites the prefix and the host", async () => {
    apply(routes(`{match: [{uri: {prefix: /old}}], rewrite: {uri: /new, authority: inner.test}, ${to("v1")}}`));
    const answer = await until(
      "the path is rewritten",
      () => get("/old/page?q=1"),
      ({ seen }) => seen?.path === "/new/page?q=1",
    );
    expect(answer.seen?.headers.host).toBe("inner.test");
    expect(answer.seen?.headers["x-envoy-original-path"]).toBe("/old/page?q=1");
  });

  it("redirects", async () => {
    apply(
      routes("{match: [{uri: {prefix: /old}}], redirect: {uri: /new, authority: elsewhere.test, redirectCode: 307}}"),
    );
    const answer = await until(
      "a redirect comes",
      () => get("/old"),
      ({ status }) => status === 307,
    );
    expect(answer.headers.location).toBe("http://elsewhere.test/new");
    expect(answer.seen).toBeUndefined();
  });

  it("answers itself", async () => {
    apply(routes("{directResponse: {status: 418, body: {string: short and stout}}}"));
    const answer = await until(
      "the answer comes",
      () => get("/"),
      ({ status }) => status === 418,
    );
    expect(answer.body).toBe("short and stout");
  });

  it("changes headers of requests and answers", async () => {
    const request = "request: {set: {x-set: new}, add: {x-add: more}, remove: [x-remove]}";
    const response = "response: {set: {x-out: new}, add: {x-more: more}, remove: [x-internal]}";
    apply(routes(`{headers: {${request}, ${response}}, ${to("v1")}}`));
    const question = () => get("/", { "x-set": "old", "x-add": "first", "x-remove": "x" });
    const { seen, headers } = await until("headers change", question, (answer) => answer.headers["x-out"] === "new");
    expect(seen?.headers).toMatchObject({ "x-set": "new", "x-add": expect.stringMatching(/^first, ?more$/) });
    expect(seen?.headers).not.toHaveProperty("x-remove");
    expect(headers).toMatchObject({ "x-out": "new", "x-more": "more" });
    expect(headers).not.toHaveProperty("x-internal");
    apply(routes(`{${to("v1")}}`));
    await until("headers are left alone", question, (answer) => answer.headers["x-internal"] === "secret");
  });

  it("sends a copy to another service", async () => {
    apply(routes(`{mirror: {host: other.test}, mirrorPercentage: {value: 100}, ${to("v1")}}`));
    const isMirrored = ({ path, headers }: SeenRequest): boolean =>
      path === "/mirrored" && headers.host === "echo.test";
    await eventually("a copy arrives", async () => {
      expect((await get("/mirrored")).seen?.upstream).toBe("v1");
      return other.seen.some(isMirrored);
    });
  });
});

describe("faults, timeouts and retries", () => {
  it("aborts", async () => {
    apply(routes(`{fault: {abort: {httpStatus: 555, percentage: {value: 100}}}, ${to("v1")}}`));
    const answer = await until(
      "the fault comes",
      () => get("/"),
      ({ status }) => status === 555,
    );
    expect(answer.seen).toBeUndefined();
    apply(routes(`{${to("v1")}}`));
    await until("the fault goes", () => get("/"), isFrom("v1"));
  });

  it("delays, and routes all the same", async () => {
    apply(routes(`{fault: {delay: {fixedDelay: 10ms, percentage: {value: 100}}}, ${to("v2")}}`));
    await until("v2 answers", () => get("/"), isFrom("v2"));
    const countDelays = async (): Promise<number> => {
      const text = await envoy.admin("stats?filter=fault\\.delays_injected");
      return Math.max(...[...text.matchAll(/: (\d+)/g)].map(([, digits]) => Number(digits)));
    };
    const before = await countDelays();
    expect((await get("/")).seen?.upstream).toBe("v2");
    expect(await countDelays()).toBe(before + 1);
  });

  it("gives up after the timeout", async () => {
    apply(routes(`{timeout: 200ms, ${to("v1")}}`));
    await until("v1 answers", () => get("/"), isFrom("v1"));
    expect((await get("/slow/never")).status).toBe(504);
    apply(routes(`{timeout: 100ms, retries: {attempts: 0}, ${to("v2")}}`));
    await until("v2 answers", () => get("/"), isFrom("v2"));
    expect((await get("/slow/never")).status).toBe(504);
    expect(v2.seen.at(-1)?.path).toBe("/slow/never");
  });

  it("tries again as often as it should", async () => {
    apply(routes(`{retries: {attempts: 3, retryOn: 5xx}, ${to("v1")}}`));
    const failing = (times: number) => () => get("/retried", { "x-test-failures": String(times) });
    const answer = await until("the fourth attempt succeeds", failing(3), ({ status }) => status === 200);
    expect(answer.seen?.headers["x-envoy-attempt-count"]).toBe("4");
    expect((await failing(4)()).status).toBe(503);
    apply(routes(`{retries: {attempts: 0}, ${to("v1")}}`));
    const single = await until("there is one attempt", failing(1), ({ status }) => status === 503);
    expect(single.seen?.headers["x-envoy-attempt-count"]).toBe("1");
  });
});

describe("what a destination rule does", () => {
  it("ejects an endpoint that fails", async () => {
    const outlier =
      "outlierDetection: {consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 600s, maxEjectionPercent: 100}";
    const pool =
      "connectionPool: {tcp: {maxConnections: 10}, http: {http1MaxPendingRequests: 10, maxRequestsPerConnection: 5}}";
    apply(routes("{retries: {attempts: 0}, route: [{destination: {host: echo.test}}]}"), rule(`${outlier}, ${pool}`));
    v1.answerWith(500);
    await eventually("v2 alone answers", async () => (await countUpstreams(20))["v2"] === 20);
    expect(await envoy.admin("stats?filter=ejections_active&usedonly")).toMatch(/echo\.test.*: 1$/m);
    v1.answerWith(200);
    apply(rule());
    await until("v1 answers again", () => get("/"), isFrom("v1"));
  });
});

describe("TCP", () => {
  it("is shared out by weights", async () => {
    const count = async (connections: number): Promise<Readonly<Record<string, number>>> => {
      const counts: Record<string, number> = {};
      for (let index = 0; index < connections; index++) {
        const name = await readTcp(tcpPort);
        counts[name] = (counts[name] ?? 0) + 1;
      }
      return counts;
    };
    apply(tcpRoute(100, 0));
    await eventually("red alone answers", async () => (await count(10))["red"] === 10);
    apply(tcpRoute(0, 100));
    await eventually("blue alone answers", async () => (await count(10))["blue"] === 10);
    apply(tcpRoute(50, 50));
    await eventually("both answer", async () => Object.keys(await count(10)).length === 2);
    const { red = 0, blue = 0 } = await count(200);
    expect(red + blue).toBe(200);
    // 200 throws of a coin: fewer than 60 of either side happens once in 100 million times.
    expect(Math.min(red, blue)).toBeGreaterThan(60);
  });
});

describe("a host that nobody registered", () => {
  const askUnknown = () => get("/", {}, "unknown.test");

  it("is refused in REGISTRY_ONLY until somebody does", async () => {
    apply(sidecar("REGISTRY_ONLY"));
    const answer = await until("it is refused", askUnknown, ({ status }) => status === 502);
    expect(answer.seen).toBeUndefined();
    apply(serviceEntry("unknown.test", [`{address: 127.0.0.1, ports: {http: ${other.port}}}`]));
    await until("it is reached", askUnknown, isFrom("other"));
  });
});

it("the Envoy took all of that", async () => {
  const text = await envoy.admin("stats?filter=update_rejected|listener_create_failure");
  expect(text.split("\n").filter((line) => /: [1-9]/.test(line))).toEqual([]);
});

function serviceEntry(host: string, endpoints: readonly string[]): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.replaceAll(".", "-")}, namespace: shop}
spec: {hosts: [${host}], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [${endpoints.join(", ")}]}`;
}

/** Two versions of echo.test and one of other.test; no certificates, so mutual TLS is off. */
function describeMesh(): string {
  const echo = [`{address: 127.0.0.1, ports: {http: ${v1.port}}, labels: {version: v1}}`];
  echo.push(`{address: 127.0.0.1, ports: {http: ${v2.port}}, labels: {version: v2}}`);
  const mtls =
    "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: istio-system}, spec: {mtls: {mode: DISABLE}}}";
  const others = [`{address: 127.0.0.1, ports: {http: ${other.port}}}`];
  return [mtls, serviceEntry("echo.test", echo), serviceEntry("other.test", others), rule()].join("\n---\n");
}

/** The destination rule of echo.test with this traffic policy. */
function rule(policy = "loadBalancer: {simple: ROUND_ROBIN}"): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: shop}
spec:
  host: echo.test
  trafficPolicy: {${policy}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]`;
}

function describeTcp(red: number, blue: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: colours, namespace: shop}
spec:
  hosts: [colours.test]
  ports: [{number: ${tcpPort}, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints:
  - {address: 127.0.0.1, ports: {tcp: ${red}}, labels: {colour: red}}
  - {address: 127.0.0.1, ports: {tcp: ${blue}}, labels: {colour: blue}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: colours, namespace: shop}
spec: {host: colours.test, subsets: [{name: red, labels: {colour: red}}, {name: blue, labels: {colour: blue}}]}`;
}

function tcpRoute(red: number, blue: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: colours, namespace: shop}
spec:
  hosts: [colours.test]
  tcp:
  - route:
    - {destination: {host: colours.test, subset: red}, weight: ${red}}
    - {destination: {host: colours.test, subset: blue}, weight: ${blue}}`;
}

/** What the client's Envoy listens on: an HTTP proxy, and colours.test by address. */
function sidecar(mode: "ALLOW_ANY" | "REGISTRY_ONLY"): string {
  return `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: client, namespace: shop}
spec:
  workloadSelector: {labels: {app: client}}
  outboundTrafficPolicy: {mode: ${mode}}
  egress:
  - port: {number: ${proxyPort}, name: http-proxy, protocol: HTTP_PROXY}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: ["./*"]
  - port: {number: ${tcpPort}, name: tcp, protocol: TCP}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: [./colours.test]`;
}
