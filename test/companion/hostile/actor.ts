/**
 * A process of its own that does what it is told over IPC: clients that attack, and those that are measured, must not wait
 * for each other in one event loop.
 */
import { fork } from "node:child_process";
import { setPriority } from "node:os";

/** What an actor can do, by name. Inputs and results are plain data. */
type Commands = Readonly<Record<string, (input: never) => unknown>>;

export interface Actor<Doable extends Commands> {
  /** Rejects with what the command throws, and where the process ends before it has answered. */
  call<Name extends keyof Doable & string>(
    name: Name,
    ...input: Parameters<Doable[Name]>
  ): Promise<Awaited<ReturnType<Doable[Name]>>>;
  stop(): Promise<void>;
}

interface Order {
  readonly id: number;
  readonly name: string;
  readonly input: unknown;
}

interface Report {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** Starts the program at `url`, which calls `serveActor`. */
export function startActor<Doable extends Commands>(url: URL): Actor<Doable> {
  const child = fork(url, { stdio: ["ignore", "inherit", "inherit", "ipc"], execArgv: [] });
  const waiting = new Map<number, (report: Report) => void>();
  let last = 0;
  child.on("message", (report: Report) => {
    waiting.get(report.id)?.(report);
    waiting.delete(report.id);
  });
  const isGone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void isGone.then(() => {
    for (const [id, settle] of waiting) settle({ id, error: `${url.pathname} has ended` });
  });
  const call = async (name: string, input: unknown): Promise<unknown> => {
    if (!child.connected) throw new Error(`${url.pathname} has ended`);
    last += 1;
    const id = last;
    const report = await new Promise<Report>((resolve) => {
      waiting.set(id, resolve);
      child.send({ id, name, input } satisfies Order);
    });
    if (report.error !== undefined) throw new Error(`${name}: ${report.error}`);
    return report.result;
  };
  return {
    // What a command gives is what its process said: plain data that nobody looks at twice.
    call: call as Actor<Doable>["call"],
    async stop() {
      child.kill("SIGKILL");
      await isGone;
    },
  };
}

/** The other side: answers orders until whoever started this process is gone. */
export function serveActor(commands: Commands): void {
  process.on("message", async ({ id, name, input }: Order) => {
    const command = commands[name] as ((input: unknown) => unknown) | undefined;
    try {
      const result = await command?.(input);
      process.send?.({ id, result } satisfies Report);
    } catch (cause: unknown) {
      process.send?.({ id, error: String(cause) } satisfies Report);
    }
  });
  process.on("disconnect", () => process.exit());
}

/** Puts a process that is measured before whatever else this machine does, where the system lets us. */
export function preferProcess(pid: number): void {
  try {
    setPriority(pid, -10);
  } catch {
    // Only an administrator may: figures are noisier without.
  }
}
