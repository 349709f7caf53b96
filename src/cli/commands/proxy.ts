import { Command } from "commander";

/** Stands in the list of commands; what comes after it is read by `runProxyCommandLine`. */
export function createProxyCommand(): Command {
  return new Command("proxy").description(
    "Run the companion proxy: Envoy's configuration and options, in this process.",
  );
}

/**
 * The companion proxy has a command line of its own, Envoy's (`meltemi proxy --help`), and is a package of its own. Resolves
 * to the exit code when the proxy has ended.
 */
export async function runProxyCommandLine(args: readonly string[]): Promise<number> {
  // Loaded only here: the other commands need none of it.
  const { runCommandLine } = await import("../../../packages/proxy/src/cli/main.ts");
  return runCommandLine(args);
}
