/** The process that is measured: a whole control plane over one source, commanded by the bench. */
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { limitHeapGrowth } from "../../../../src/bootstrap/heap-growth.ts";
import type { GivenOptions } from "../../../../src/config/flags.ts";
import { createMemorySource } from "../../../../src/sources/memory.ts";
import { startTestControlPlane } from "../../../support/control-plane.ts";
import { answerParent, readStartData } from "../process-link.ts";
import { nowMs } from "../proxies/simulated-proxy.ts";
import type { ServerMemory, ServerUsage } from "./mesh-server.ts";

export interface ServerStart {
  /** Flags of the control plane. */
  readonly options: GivenOptions;
  /** Content of a memory source, as YAML; the flags name the source where not given. */
  readonly content?: string;
}

export type ServerCommand =
  | { readonly do: "start"; readonly content?: string }
  | { readonly do: "apply"; readonly text: string }
  | { readonly do: "usage" }
  | { readonly do: "memory" }
  | { readonly do: "profile" }
  | { readonly do: "profileEnd"; readonly file: string };

// As the program does (src/bootstrap/serve.ts).
limitHeapGrowth();
const { options } = readStartData<ServerStart>();
const source = createMemorySource();
let server: Awaited<ReturnType<typeof startTestControlPlane>> | undefined;
const loop = monitorEventLoopDelay({ resolution: 2 });
const session = new Session();
// Here and not on the command line, so that the process runs as others do.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

answerParent<ServerCommand>(answer, async () => server?.stop());

async function answer(command: ServerCommand): Promise<unknown> {
  switch (command.do) {
    case "start": {
      const { content } = command;
      if (content !== undefined) source.apply(content);
      server = await startTestControlPlane({ options, ...(content === undefined ? {} : { source }) });
      loop.enable();
      return server.grpcAddress;
    }
    case "apply": {
      const atMs = nowMs();
      source.apply(command.text);
      return atMs;
    }
    case "usage":
      return readUsage();
    case "memory":
      return readMemory();
    case "profile":
      session.connect();
      await session.post("Profiler.enable");
      return session.post("Profiler.start");
    case "profileEnd": {
      const { profile } = await session.post("Profiler.stop");
      session.disconnect();
      writeFileSync(command.file, JSON.stringify(profile));
      return undefined;
    }
  }
}

function readUsage(): ServerUsage {
  const { user, system } = process.cpuUsage();
  // The histogram holds nanoseconds between ticks, the ticks' own distance among them.
  const toMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - 2);
  const read = { p99Ms: toMs(loop.percentile(99)), maxMs: toMs(loop.max) };
  loop.reset();
  return { cpuSeconds: (user + system) / 1e6, rssBytes: process.memoryUsage.rss(), loop: read };
}

async function readMemory(): Promise<ServerMemory> {
  // What weak references and finalizers let go of is freed by the next one.
  for (let round = 0; round < 3; round += 1) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rssBytes: rss, heapBytes: heapUsed + external };
}
