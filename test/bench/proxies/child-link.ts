import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** A process that answers every command with one message, and says one by itself when it is ready. */
export class ChildLink<Command extends object, Answer extends object> {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts a program beside this file; `data` is its only argument, as JSON. Rejects where it ends before it is ready. */
  static async start<Command extends object, Answer extends object>(
    file: string,
    data: object = {},
  ): Promise<{ readonly link: ChildLink<Command, Answer>; readonly ready: Answer }> {
    const child = fork(new URL(file, import.meta.url), [JSON.stringify(data)], {
      // http-proxy calls what Node has deprecated; nobody needs to read that here.
      execArgv: ["--no-deprecation"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const link = new ChildLink<Command, Answer>(child);
    return { link, ready: await link.#next() };
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  ask(command: Command): Promise<Answer> {
    const answer = this.#next();
    this.#child.send(command);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  #next(): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const onExit = (code: number | null): void => reject(new Error(`${this.#child.spawnfile} ended with code ${code}`));
    const onMessage = (answer: unknown): void => {
      this.#child.off("exit", onExit);
      resolve(answer as Answer);
    };
    this.#child.once("exit", onExit);
    this.#child.once("message", onMessage);
    return promise.finally(() => this.#child.off("message", onMessage));
  }
}

/** The other side: says that it is ready and answers each command. Ends when the asking process is gone. */
export function answerParent<Command extends object, Answer extends object>(
  ready: Answer,
  answer: (command: Command) => Promise<Answer>,
): void {
  process.on("disconnect", () => process.exit(1));
  process.on("message", (command) => {
    void answer(command as Command).then((value) => process.send?.(value));
  });
  process.send?.(ready);
}

/** What the process was started with. */
export function readStartData<Data>(): Data {
  return JSON.parse(process.argv[2] ?? "{}") as Data;
}
