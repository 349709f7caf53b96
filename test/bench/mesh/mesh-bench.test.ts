/** What `make bench` measures, at a size that tests can pay for: that every proxy gets what it should, and nothing else. */
import { beforeAll, describe, expect, it } from "vitest";
import type { FigureName, Figures } from "./figures.ts";
import { type BenchOptions, parseOptions } from "./options.ts";
import type { Variant } from "./proxies/types.ts";
import { runScenarios } from "./run-scenarios.ts";
import { scenarios } from "./scenarios/scenarios.ts";

const proxies = 12;
const words = `--proxies ${proxies} --services 40 --scopes 4 --hosts 8 --changes 1 --minutes 0.03 --rest 0.01 --send-timeout 1`;

function parse(more: string): BenchOptions {
  const options = parseOptions(`${words} ${more}`.trim().split(" "));
  if (options === undefined) throw new Error("no options");
  return options;
}

async function run(more: string, variant: Variant): Promise<ReadonlyMap<string, Figures>> {
  const { server, sizes, pace, rounds, only } = parse(more);
  const [size] = sizes;
  if (size === undefined) throw new Error("no size");
  const picked = scenarios.filter(({ name }) => only.includes(name));
  const rows = await runScenarios({
    ...{ server, variant, size, pace, rounds, scenarios: picked, sharesServers: true, progress: () => undefined },
  });
  return new Map(rows.map(({ scenario, figures }) => [scenario, figures]));
}

/** Messages of each kind: clusters, endpoints, listeners, routes. */
const messages = ({ cds, eds, lds, rds }: Figures): readonly unknown[] => [cds, eds, lds, rds];

const all = proxies;
/** Two of four namespaces import a service. */
const importing = proxies / 2;

describe.each([
  ["sotw", "memory"],
  ["delta", "file"],
] as const)("every scenario, %s, %s source", (variant, source) => {
  let rows: ReadonlyMap<string, Figures>;
  const figuresOf = (scenario: string): Figures => {
    const figures = rows.get(scenario);
    if (figures === undefined) throw new Error(`${scenario} did not run`);
    return figures;
  };
  beforeAll(async () => {
    rows = await run(`--source ${source}`, variant);
  });

  it("measures all of them, with a time for every proxy", () => {
    expect([...rows.keys()].sort()).toEqual(scenarios.map(({ name }) => name).sort());
    const always: readonly FigureName[] = ["p50Ms", "p99Ms", "maxMs", "cpuSeconds", "bytes", "rssBytes", "loopMaxMs"];
    for (const [scenario, figures] of rows) {
      for (const name of always) expect(figures[name], `${scenario} ${name}`).toBeGreaterThan(0);
    }
  });

  it.each([
    ["storm", [all, all, all, all]],
    ["endpoint", [0, all, 0, 0]],
    ["virtual-service", [0, 0, 0, all]],
    ["scopes", [0, importing, 0, 0]],
    ["scopes-route", [0, 0, 0, importing]],
    ["gateway", [0, 0, 0, all]],
  ])("%s: messages %j and no more", (scenario, expected) => {
    expect(messages(figuresOf(scenario))).toEqual(expected);
    expect(figuresOf(scenario).connected).toBe(all);
  });

  it.each(["endpoint", "virtual-service"])("%s: one resource in each message", (scenario) => {
    expect(figuresOf(scenario).resources).toBe(all);
  });

  it("sends no byte to proxies that do not use what changed", () => {
    expect(figuresOf("scopes").bytesElsewhere).toBe(0);
    expect(figuresOf("scopes-route").bytesElsewhere).toBe(0);
  });

  it("sends of clusters only the changed ones in delta, and never listeners that stay equal", () => {
    for (const scenario of ["destination-rule", "new-service"]) {
      expect(figuresOf(scenario).lds, scenario).toBe(0);
      expect(figuresOf(scenario).cds, scenario).toBe(all);
    }
    // The cluster and its endpoints, which it waits for.
    if (variant === "delta") expect(figuresOf("destination-rule").resources).toBeLessThanOrEqual(2 * all);
  });

  it("has all proxies back after a storm of reconnects", () => {
    expect(figuresOf("reconnect").connected).toBe(all);
    // What they had they need not get again.
    if (variant === "delta") expect(figuresOf("reconnect").resources).toBe(0);
  });

  it("ends the streams of those who do not read, and of nobody else", () => {
    expect(figuresOf("slow-readers").endedStreams).toBe(proxies / 2);
    expect(figuresOf("slow-readers").connected).toBe(proxies / 2);
  });

  it("follows changes through churn", () => {
    const { changes = 0, heapStartBytes = 0, heapBytes = 0 } = figuresOf("churn");
    expect(changes).toBeGreaterThan(50);
    expect(Math.min(heapStartBytes, heapBytes)).toBeGreaterThan(1e6);
  });
});

describe("options", () => {
  it("makes a run for each combination of sizes", () => {
    const { sizes } = parse("--services 1,2 --proxies 3,4");
    expect(sizes.map(({ services, proxies: count }) => [services, count])).toEqual([
      [1, 3],
      [1, 4],
      [2, 3],
      [2, 4],
    ]);
  });

  it.each([
    ["--only storm,nothing", "there is no nothing"],
    ["--source disk", "there is no source disk"],
    ["--proxies 0", "--proxies has to be a number above 0"],
    ["--server 127.0.0.1:1 --pid 1", "--server needs --config-dir or --change-command"],
    ["--server 127.0.0.1:1 --config-dir x", "--pid has to be a number above 0"],
  ])("%s: %s", (more, reason) => {
    expect(() => parse(more)).toThrow(reason);
  });
});
