import type { GivenOptions } from "../../../../src/config/flags.ts";
import { ProcessLink } from "../process-link.ts";
import { nowMs } from "../proxies/simulated-proxy.ts";
import type { MeshServer } from "./mesh-server.ts";
import type { ServerCommand } from "./server-process.ts";

export interface ForkedServerOptions {
  /** Flags of the control plane. */
  readonly options: GivenOptions;
  /** Content of a memory source, as YAML; the flags name the source where not given. */
  readonly content?: string;
}

/** A control plane of this checkout in a process of its own; what its source is decides how it is written to. */
export interface ForkedServer extends Omit<MeshServer, "write"> {
  /** Hands YAML to the memory source; the milliseconds of process.hrtime just before. */
  apply(text: string): Promise<number>;
}

/** Rejects where the control plane cannot start. */
export async function startForkedServer({ options, content }: ForkedServerOptions): Promise<ForkedServer> {
  const startedMs = nowMs();
  // As the program is started (src/cli/meltemi.mjs).
  const link = new ProcessLink("servers/server-process.ts", { options }, ["--max-semi-space-size=16"]);
  const ask = <Value>(command: ServerCommand): Promise<Value> => link.ask<Value>(command);
  try {
    const address = await ask<string>({ do: "start", ...(content === undefined ? {} : { content }) });
    return {
      address,
      readyMs: nowMs() - startedMs,
      apply: (text) => ask({ do: "apply", text }),
      usage: () => ask({ do: "usage" }),
      memory: () => ask({ do: "memory" }),
      startProfile: () => ask({ do: "profile" }),
      stopProfile: (file) => ask({ do: "profileEnd", file }),
      stop: () => link.stop(),
    };
  } catch (cause) {
    await link.stop(1000);
    throw cause;
  }
}
