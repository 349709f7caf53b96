import { Command, InvalidArgumentError } from "commander";
import { systemClock } from "../../lib/clock.ts";
import { pause } from "../../lib/pause.ts";
import { CommandFailure } from "../failures.ts";

interface GivenOptions {
  readonly url: string;
  readonly timeoutSeconds: number;
  readonly requestTimeoutMillis: number;
  readonly periodMillis: number;
}

/** `meltemi agent wait`: the postStart hook that holds the application until the proxy is ready. */
export function createAgentWaitCommand(): Command {
  return new Command("wait")
    .description("Wait until the proxy is ready.")
    .option("--url <url>", "what to ask", "http://localhost:15021/healthz/ready")
    .option("--timeoutSeconds <n>", "how long to wait in all", parseCount, 60)
    .option("--requestTimeoutMillis <n>", "how long to wait for one answer", parseCount, 500)
    .option("--periodMillis <n>", "pause between two questions", parseCount, 500)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(waitUntilReady);
}

async function waitUntilReady(options: GivenOptions): Promise<void> {
  const { url, timeoutSeconds, requestTimeoutMillis, periodMillis } = options;
  if (!URL.canParse(url)) throw new CommandFailure(`${url} is no URL`);
  const end = systemClock.monotonic() + timeoutSeconds * 1000;
  // Timers of the clock do not hold the program, an open port does.
  const { port1: hold } = new MessageChannel();
  hold.ref();
  try {
    let last = "it was not asked";
    while (systemClock.monotonic() < end) {
      last = await ask(url, requestTimeoutMillis);
      if (last === "") return;
      await pause(systemClock, periodMillis);
    }
    throw new CommandFailure(`the proxy was not ready within ${timeoutSeconds} s: ${last}`);
  } finally {
    hold.close();
  }
}

/** "" where ready, or else what was wrong. */
async function ask(url: string, timeoutMs: number): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await response.arrayBuffer();
    return response.status === 200 ? "" : `status ${response.status}`;
  } catch (cause: unknown) {
    return cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
  }
}

function parseCount(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError("It is a whole number.");
  return Number(text);
}
