import { Command, InvalidArgumentError } from "commander";
import { CommandFailure } from "../failures.ts";

/** Ports of the pod that may be asked: Envoy's administration, the agent, readiness, and the control plane's debug pages. */
const allowedPorts: readonly number[] = [15000, 15004, 15020, 15021];
const limitMs = 60_000;

/** `meltemi agent request`: hooks and people ask Envoy and the agent with it, in images that have no other client. */
export function createAgentRequestCommand(): Command {
  return new Command("request")
    .description("Ask Envoy's administration, or another port of the proxy, and print the answer.")
    .argument("<method>", "such as GET or POST")
    .argument("<path>", "such as drain or clusters?format=json")
    .argument("[body]", "what to send along", "")
    .option("--debug-port <port>", `port of this pod: ${allowedPorts.join(", ")}`, parsePort, 15000)
    .action(ask);
}

async function ask(method: string, path: string, body: string, options: { readonly debugPort: number }): Promise<void> {
  const url = `http://localhost:${options.debugPort}/${path.replace(/^\//, "")}`;
  let response: Response;
  try {
    const signal = AbortSignal.timeout(limitMs);
    response = await fetch(url, { method, signal, ...(body === "" ? {} : { body }) });
  } catch (cause: unknown) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new CommandFailure(`${url} does not answer: ${reason}`, { cause });
  }
  process.stdout.write(await response.text());
  if (response.status >= 400) throw new CommandFailure(`${url} answered with status ${response.status}`);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!allowedPorts.includes(port)) throw new InvalidArgumentError(`It is one of ${allowedPorts.join(", ")}.`);
  return port;
}
