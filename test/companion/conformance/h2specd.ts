/**
 * Runs h2specd, a server that breaks the rules of HTTP/2: each of its cases has a port, and tells of the first connection
 * there what it made of the client.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { until } from "../../support/until.ts";

/** Its sections and how many cases they have, in version 2.2.1 of h2spec; apart, since ports come in blocks. */
export const h2specdParts = [
  { specs: ["client/1", "client/4", "client/5"], count: 22 },
  { specs: ["client/6"], count: 35 },
] as const;

export interface H2specdCase {
  /** "client/6.7/2: Sends a PING frame with ACK". */
  readonly name: string;
  readonly hasPassed: boolean;
}

export interface H2specd {
  /** Verdicts in the order in which they came. */
  readonly verdicts: readonly H2specdCase[];
  stop(): Promise<void>;
}

export interface H2specdOptions {
  readonly program: string;
  readonly specs: readonly string[];
  /** The port of the first case; those of the others come behind it. */
  readonly firstPort: number;
  /** It has a page of its own. */
  readonly pagePort: number;
}

/** Starts it and waits until its ports are open. */
export async function startH2specd({ program, specs, firstPort, pagePort }: H2specdOptions): Promise<H2specd> {
  const args = ["--strict", "--host", "127.0.0.1", "--from-port", String(firstPort), "--port", String(pagePort)];
  const child = spawn(program, [...args, ...specs], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const started: H2specd = {
    get verdicts() {
      return readVerdicts(output);
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
    },
  };
  try {
    await until("h2specd listens", () => {
      if (child.exitCode !== null) throw new Error(`h2specd ended:\n${output}`);
      return output.includes("Report server is listened");
    });
    return started;
  } catch (cause) {
    await started.stop();
    throw cause;
  }
}

/** Asked for one case at a time it names the case's section, and then what came of it. */
function readVerdicts(output: string): readonly H2specdCase[] {
  const found: H2specdCase[] = [];
  let section = "";
  for (const line of output.split("\n").slice(0, -1)) {
    section = /^Generic tests for HTTP\/2 client -> .*?([\d.]+)\. [^>]*$/.exec(line)?.[1] ?? section;
    const [, mark, number, title] = /^([✔×]) (\d+): (.*)$/.exec(line) ?? [];
    if (mark !== undefined) found.push({ name: `client/${section}/${number}: ${title}`, hasPassed: mark === "✔" });
  }
  return found;
}
