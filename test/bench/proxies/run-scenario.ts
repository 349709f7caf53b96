import { median } from "../statistics.ts";
import { type Contestant, type ContestantName, contestantNames } from "./contestants.ts";
import { askLoad, type LoadLink } from "./load-link.ts";
import type { LoadResult } from "./run-lanes.ts";
import type { Scenario } from "./scenarios.ts";

export interface Rounds {
  readonly rounds: number;
  /** Of each proxy before its first round: its code is not compiled yet. In CPU time, as others may have the machine. */
  readonly warmUpCpuSeconds: number;
  /** Of each round. */
  readonly measureMs: number;
}

/** Medians over the rounds. */
export interface Figures {
  /** Units of the scenario for each CPU second of the proxy. */
  readonly perCpuSecond: number;
  /** The same for each second of the clock. */
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** undefined for a proxy that cannot do it. */
export type ScenarioFigures = Readonly<Record<ContestantName, Figures | undefined>>;

/** Connections have to be there before a round counts. */
const settleCpuSeconds = 0.1;

export interface ScenarioOptions {
  readonly load: LoadLink;
  /** Used for nothing else: what they did before would be in what their compilers have learnt. */
  readonly contestants: readonly Contestant[];
  readonly rounds: Rounds;
}

/**
 * Measures the proxies in turn, round after round, so that what else the machine does hits all of them. Rejects with the
 * first answer that is wrong.
 */
export async function runScenario(
  scenario: Scenario,
  { load, contestants, rounds }: ScenarioOptions,
): Promise<ScenarioFigures> {
  const able = contestants.filter(({ ports }) => ports[scenario.listener] !== undefined);
  const results = new Map<ContestantName, LoadResult[]>(able.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds.rounds; round++) {
    const warmUpCpuSeconds = round === 0 ? rounds.warmUpCpuSeconds : settleCpuSeconds;
    for (const contestant of able) {
      const asking = { contestant, scenario, warmUpCpuSeconds, measureMs: rounds.measureMs };
      results.get(contestant.name)?.push(await ask(load, asking));
    }
  }
  const entries = contestantNames.map((name) => [name, summarize(scenario, results.get(name))]);
  return Object.fromEntries(entries) as ScenarioFigures;
}

interface Asking {
  readonly contestant: Contestant;
  readonly scenario: Scenario;
  readonly warmUpCpuSeconds: number;
  readonly measureMs: number;
}

async function ask(load: LoadLink, { contestant, scenario, warmUpCpuSeconds, measureMs }: Asking): Promise<LoadResult> {
  const { work, lanes, listener } = scenario;
  const port = contestant.ports[listener] ?? 0;
  const command = { do: "run" as const, work, lanes, port, pid: contestant.pid, warmUpCpuSeconds, measureMs };
  try {
    return (await askLoad(load, command, "result")).result;
  } catch (cause) {
    throw new Error(`${scenario.title}, ${contestant.name}: ${String(cause)}`);
  }
}

function summarize({ perExchange }: Scenario, results: readonly LoadResult[] | undefined): Figures | undefined {
  if (results === undefined) return undefined;
  return {
    perCpuSecond: median(results.map(({ exchanges, cpuSeconds }) => (exchanges * perExchange) / cpuSeconds)),
    perSecond: median(results.map(({ exchanges, wallSeconds }) => (exchanges * perExchange) / wallSeconds)),
    p50Ms: median(results.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(results.map(({ p99Ms }) => p99Ms)),
  };
}
