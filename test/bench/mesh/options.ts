import { parseArgs } from "node:util";
import type { MeshSize } from "./meshes/mesh.ts";
import type { Variant } from "./proxies/types.ts";
import type { Pace } from "./scenarios/scenario.ts";
import { scenarios } from "./scenarios/scenarios.ts";
import { forkedSources, type ServerChoice } from "./servers/start-server.ts";

export interface BenchOptions {
  readonly server: ServerChoice;
  readonly variants: readonly Variant[];
  /** One run for each. */
  readonly sizes: readonly MeshSize[];
  /** Names of scenarios, and "memory". */
  readonly only: readonly string[];
  readonly pace: Pace;
  readonly rounds: number;
  readonly json: string | undefined;
  readonly compare: string | undefined;
  readonly profileDir: string | undefined;
}

/** The account of memory is no scenario: it compares servers. */
export const memoryName = "memory";
export const scenarioNames: readonly string[] = [...scenarios.map(({ name }) => name), memoryName];
const defaultOnly = scenarioNames.filter((name) => name !== memoryName).join(",");

export const helpText = `
make bench, or: node test/bench/mesh/mesh-bench.ts [options]

Measures a control plane under many simulated proxies. They live in a process of their own and share the machine with the
server: compare within one run. Linux only.

What is measured
  --only NAMES         with commas, of: ${scenarioNames.join(" ")} (all but memory)
  --source NAME        where the mesh comes from: ${forkedSources.join(" ")} (memory)
  --delta              incremental xDS in place of the state of the world; --both for one after the other
Sizes (lists with commas make a run for each combination)
  --proxies N          (1000)
  --services N         (1000)
  --endpoints N        of each service (2)
  --scopes N           namespaces with a Sidecar resource of their own, in "scopes" (200)
  --hosts N            of the gateway, in "gateway" (1000)
  --workloads          proxies stand beside endpoints and have inbound listeners of their own
How long
  --rounds N           each with new servers; medians are shown (1)
  --changes N          single changes of a kind in each round; medians are shown (5)
  --minutes N          of churn (1)
  --rest S             seconds without a change, at both ends of churn, until memory is read: V8 takes a minute to give it back (120)
  --send-timeout S     seconds after which the server ends a stream that is not read (30)
Another server, with ADS in plain text
  --server HOST:PORT   its address, with
  --pid N              its process, and one of
  --config-dir DIR     the directory that it watches; the bench writes the mesh and every change there
  --change-command C   a shell command that gets YAML on its standard input, such as "kubectl apply -f -"
What comes out
  --json FILE          the figures for a program; node test/bench/mesh/page.ts FILE... makes docs/performance.md of them
  --compare FILE       an earlier --json file: old, new, ratio
  --profile DIR        a .cpuprofile of the server for each scenario; node test/bench/mesh/hot-spots.ts FILE... sums them up
`.trimStart();

const flags = {
  only: { type: "string", default: defaultOnly },
  source: { type: "string", default: "memory" },
  delta: { type: "boolean", default: false },
  both: { type: "boolean", default: false },
  proxies: { type: "string", default: "1000" },
  services: { type: "string", default: "1000" },
  endpoints: { type: "string", default: "2" },
  scopes: { type: "string", default: "200" },
  hosts: { type: "string", default: "1000" },
  workloads: { type: "boolean", default: false },
  rounds: { type: "string", default: "1" },
  changes: { type: "string", default: "5" },
  minutes: { type: "string", default: "1" },
  rest: { type: "string", default: "120" },
  "send-timeout": { type: "string", default: "30" },
  server: { type: "string" },
  pid: { type: "string" },
  "config-dir": { type: "string" },
  "change-command": { type: "string" },
  json: { type: "string" },
  compare: { type: "string" },
  profile: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

type Values = ReturnType<typeof readValues>;

function readValues(args: readonly string[]) {
  return parseArgs({ args: [...args], options: flags }).values;
}

/** Undefined where help is asked for; throws with a sentence where something is wrong. */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  const values = readValues(args);
  if (values.help) return undefined;
  const only = values.only.split(",");
  for (const name of only) {
    if (!scenarioNames.includes(name)) throw new Error(`there is no ${name}; there are ${scenarioNames.join(", ")}`);
  }
  const sendTimeoutMs = readNumber(values, "send-timeout") * 1000;
  return {
    server: chooseServer(values, sendTimeoutMs),
    variants: listVariants(values),
    sizes: listSizes(values),
    only,
    pace: {
      changes: readNumber(values, "changes"),
      churnSeconds: readNumber(values, "minutes") * 60,
      restMs: readNumber(values, "rest") * 1000,
      // The server looks now and then, and a busy machine late.
      stallLimitMs: sendTimeoutMs * 2 + 20_000,
    },
    rounds: readNumber(values, "rounds"),
    json: values.json,
    compare: values.compare,
    profileDir: values.profile,
  };
}

function listVariants({ delta, both }: Values): readonly Variant[] {
  if (both) return ["sotw", "delta"];
  return [delta ? "delta" : "sotw"];
}

function listSizes(values: Values): readonly MeshSize[] {
  const list = (name: "proxies" | "services" | "endpoints"): readonly number[] =>
    values[name].split(",").map((text) => toNumber(name, text));
  const [scopes, hosts] = [readNumber(values, "scopes"), readNumber(values, "hosts")];
  return list("endpoints").flatMap((endpoints) =>
    list("services").flatMap((services) =>
      list("proxies").map((proxies) => ({
        proxies,
        services,
        endpoints,
        scopes,
        hosts,
        hasWorkloads: values.workloads,
      })),
    ),
  );
}

function chooseServer(values: Values, sendTimeoutMs: number): ServerChoice {
  if (values.server !== undefined) {
    const { "config-dir": configDir, "change-command": changeCommand } = values;
    if (configDir === undefined && changeCommand === undefined)
      throw new Error("--server needs --config-dir or --change-command");
    return {
      ...{ source: "external", address: values.server, pid: toNumber("pid", values.pid ?? "") },
      ...(configDir === undefined ? {} : { configDir }),
      ...(changeCommand === undefined ? {} : { changeCommand }),
    };
  }
  const source = forkedSources.find((name) => name === values.source);
  if (source === undefined)
    throw new Error(`there is no source ${values.source}; there are ${forkedSources.join(", ")}`);
  return { source, flags: { sendTimeout: `${sendTimeoutMs}ms` } };
}

function readNumber(
  values: Values,
  name: "scopes" | "hosts" | "rounds" | "changes" | "minutes" | "rest" | "send-timeout",
): number {
  return toNumber(name, values[name]);
}

function toNumber(name: string, text: string): number {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value <= 0) throw new Error(`--${name} has to be a number above 0`);
  return value;
}
