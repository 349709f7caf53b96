import { type ChildProcess, fork } from "node:child_process";
import type { MeshSize } from "./large-mesh.ts";

/** What a server process has used since it started, and its memory now. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  /** Seconds spent making and encoding configuration, of all proxies together (pilot_xds_push_time). */
  readonly pushSeconds: number;
}

/** What the load generator tells the server process, and what it answers. */
export type Command =
  | { readonly do: "apply"; readonly objects: readonly object[] }
  | { readonly do: "usage" }
  | { readonly do: "stop" };
export type Answer =
  | { readonly is: "listening"; readonly address: string }
  | { readonly is: "applied"; readonly at: string }
  | { readonly is: "usage"; readonly usage: Usage };

/** A control plane in a process of its own, so that its CPU time is its own. */
export class ServerLink {
  readonly #child: ChildProcess;
  readonly address: string;

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  static async start(size: MeshSize): Promise<ServerLink> {
    const file = new URL("server-process.ts", import.meta.url).pathname;
    const child = fork(file, [JSON.stringify(size)], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const answer = await nextAnswer(child, "listening");
    return new ServerLink(child, answer.address);
  }

  /** Changes objects at the source; the time is that just before the source handed them over. */
  async apply(objects: readonly object[]): Promise<bigint> {
    this.#send({ do: "apply", objects });
    return BigInt((await nextAnswer(this.#child, "applied")).at);
  }

  async usage(): Promise<Usage> {
    this.#send({ do: "usage" });
    return (await nextAnswer(this.#child, "usage")).usage;
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#send({ do: "stop" });
    await exited;
  }

  #send(command: Command): void {
    this.#child.send(command);
  }
}

async function nextAnswer<Is extends Answer["is"]>(
  child: ChildProcess,
  is: Is,
): Promise<Extract<Answer, { readonly is: Is }>> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`the server process ended with code ${code}`));
    const onMessage = (answer: unknown): void => {
      if ((answer as Answer).is !== is) return;
      child.off("exit", onExit);
      child.off("message", onMessage);
      resolve(answer as Extract<Answer, { readonly is: Is }>);
    };
    child.once("exit", onExit);
    child.on("message", onMessage);
  });
}
