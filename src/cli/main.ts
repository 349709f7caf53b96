/** The command line: one file a command in commands/. */
import { Command, CommanderError } from "commander";
import { readVersion } from "../config/version.ts";
import { createAgentCommand } from "./commands/agent.ts";
import { createBootstrapCommand } from "./commands/bootstrap.ts";
import { createCertificateCommand } from "./commands/certificate.ts";
import { createIptablesCommand } from "./commands/iptables.ts";
import { createKubeInjectCommand } from "./commands/kube-inject.ts";
import { createProxyCommand, runProxyCommandLine } from "./commands/proxy.ts";
import { createServeCommand } from "./commands/serve.ts";
import { createVersionCommand } from "./commands/version.ts";
import { CommandFailure, UsageError } from "./failures.ts";

/** What the shell sees: 0 done, 1 it was tried and failed, 2 the command line itself was wrong, others see CommandFailure. */
type ExitCode = number;

/** Runs one command line (without node and program name) and resolves to its exit code; prints errors to stderr. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  const [command, ...rest] = args;
  if (command === "proxy") return runProxyCommandLine(rest);
  const program = createProgram();
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (cause) {
    return reportFailure(cause);
  }
}

function createProgram(): Command {
  const program = new Command("meltemi")
    .description("A service-mesh control plane for Envoy that takes Istio's configuration.")
    .version(readVersion(), "-V, --version", "print the version")
    .helpCommand("help [command]", "explain a command")
    .showHelpAfterError("Run with --help to see what there is.");
  const commands = [
    createServeCommand(),
    createBootstrapCommand(),
    createCertificateCommand(),
    createAgentCommand(),
    createIptablesCommand("iptables"),
    createKubeInjectCommand(),
    createProxyCommand(),
    createVersionCommand(),
  ];
  for (const command of commands) {
    // Inherited by hand, because commander copies settings only to commands that it creates itself.
    program.addCommand(command.copyInheritedSettings(program).exitOverride());
  }
  return program.exitOverride();
}

function reportFailure(cause: unknown): ExitCode {
  // Commander has printed its own errors; its codes for help and version are no failures.
  if (cause instanceof CommanderError) return cause.exitCode === 0 ? 0 : 2;
  if (cause instanceof UsageError || cause instanceof CommandFailure) {
    process.stderr.write(`error: ${cause.message}\n`);
    return cause instanceof UsageError ? 2 : cause.exitCode;
  }
  throw cause;
}
