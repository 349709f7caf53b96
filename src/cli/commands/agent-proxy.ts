import { networkInterfaces } from "node:os";
import type { Agent, AgentFlags, ProxyType } from "@meltemi/agent";
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { systemClock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { CommandFailure } from "../failures.ts";

/** Options as commander hands them over. */
interface GivenOptions extends Omit<AgentFlags, "concurrency"> {
  readonly concurrency: number;
  readonly log_output_level: string;
  readonly log_as_json: boolean;
  readonly templateFile?: string;
  readonly stsPort?: string;
}

const examples = `
Everything else comes from the environment and the files of the pod, under pilot-agent's names: docs/agent.md lists them.

Example, as injection writes it:
  meltemi agent proxy sidecar --domain $(POD_NAMESPACE).svc.cluster.local --proxyLogLevel=warning --concurrency 2`;

/** How long parts of the program that hold on to something may take, when all is over. */
const lingerMs = 2_000;

export function createAgentProxyCommand(): Command {
  const command = new Command("proxy")
    .description("Start Envoy for this pod, with all that it needs, and watch over it until it ends.")
    .addArgument(
      new Argument("[type]", "what stands beside the proxy").choices(["sidecar", "router"]).default("sidecar"),
    )
    .option("--domain <domain>", "DNS suffix of the namespace; by default POD_NAMESPACE.svc.cluster.local", "")
    .option("--meshConfig <file>", "mesh configuration, whose defaultConfig is taken", "./etc/istio/config/mesh")
    .option("--serviceCluster <name>", "name of the proxy's cluster", "istio-proxy")
    .option("--concurrency <n>", "threads of Envoy; 0: as the ProxyConfig says", parseCount, 0)
    .option("--proxyLogLevel <levels>", "Envoy's level of logs, and levels of components after it", "warning")
    .option("--proxyComponentLogLevel <levels>", "levels of components of Envoy, such as misc:error", "")
    .option("--outlierLogPath <file>", "where Envoy notes endpoints that it takes out", "")
    .option("--binaryPath <file>", "the proxy to start; by default that of the ProxyConfig", "")
    .option("--listenAddress <ip>", "where ports 15020, 15021 and 15090 are opened; by default everywhere", "")
    .option("--log_output_level <levels>", "the agent's own level of logs, such as default:info", "default:info")
    .option("--log_as_json", "write logs as JSON, Envoy's too", false)
    .addHelpText("after", examples)
    // As pilot-agent does: a template may have been written for another version.
    .allowUnknownOption()
    .allowExcessArguments();
  // Taken and of no effect here; docs/differences.md says why.
  for (const name of ["templateFile", "stsPort", "tokenManagerPlugin", "profiling"]) {
    command.addOption(new Option(`--${name} [value]`).hideHelp());
  }
  return command.action(runProxy);
}

async function runProxy(type: ProxyType, given: GivenOptions): Promise<void> {
  // Loaded only here: the other commands need none of it and answer in a moment.
  const { createLog } = await import("../../bootstrap/log.ts");
  const log = createLog({ level: findLevel(given.log_output_level), json: given.log_as_json });
  if (given.templateFile !== undefined)
    log.warn("templates of the bootstrap are not used", { file: given.templateFile });
  if (Number(given.stsPort ?? 0) !== 0) log.warn("the agent exchanges no tokens", { stsPort: given.stsPort });
  const agent = await startProxy(type, given, log);
  log.info("the agent serves", { status: agent.statusPort });
  const { exitCode, reason } = await agent.ended;
  log.info("the agent ends", { reason });
  // What has been said must be seen; whatever still holds the program is not waited for.
  systemClock.after(lingerMs, () => process.exit(exitCode));
  if (exitCode !== 0) throw new CommandFailure(reason, { exitCode });
}

/** Starts the agent and hears signals from the beginning. */
async function startProxy(type: ProxyType, given: GivenOptions, log: Log): Promise<Agent> {
  const { readEnvironment, startAgent } = await import("@meltemi/agent");
  let agent: Agent | undefined;
  let signal: string | undefined;
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => {
      if (signal === undefined) log.info("asked to end", { signal: name });
      signal = name;
      agent?.terminate();
    });
  }
  try {
    agent = await startAgent({
      type,
      flags: given,
      environment: readEnvironment(),
      interfaces: networkInterfaces(),
      logAsJson: given.log_as_json,
      random: Math.random,
      clock: systemClock,
      log,
    });
  } catch (cause) {
    throw new CommandFailure(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  if (signal !== undefined) agent.terminate();
  return agent;
}

/** "default:info,dns:debug" has levels by scope; ours has one: that of the default. */
function findLevel(levels: string): string {
  const parts = levels.split(",").map((part) => part.split(":"));
  const level =
    parts.find(([scope]) => scope === "default" || scope === "all")?.[1] ??
    parts.find((part) => part.length === 1)?.[0];
  return level === "none" ? "none" : (level ?? "info").replace("fatal", "error");
}

function parseCount(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError("It is a whole number.");
  return Number(text);
}
