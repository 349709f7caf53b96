import { Command } from "commander";
import { readVersion } from "../../config/version.ts";
import { createAgentProxyCommand } from "./agent-proxy.ts";
import { createAgentRequestCommand } from "./agent-request.ts";
import { createAgentWaitCommand } from "./agent-wait.ts";
import { createIptablesCommand } from "./iptables.ts";

/**
 * `meltemi agent`, with the command line of Istio's pilot-agent, so that templates of pods written for the one work with
 * the other: in the proxy's image the program also goes by that name.
 */
export function createAgentCommand(): Command {
  const agent = new Command("agent").description("The companion process of a sidecar or gateway, as pilot-agent is.");
  const commands = [
    createAgentProxyCommand(),
    createAgentWaitCommand(),
    createAgentRequestCommand(),
    createIptablesCommand("istio-iptables"),
    new Command("version")
      .description("Print the version.")
      .action(() => void process.stdout.write(`${readVersion()}\n`)),
  ];
  for (const command of commands) agent.addCommand(command.copyInheritedSettings(agent).exitOverride());
  return agent;
}
