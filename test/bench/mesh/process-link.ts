/** A process of this program that answers commands, any number at a time. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Question {
  readonly id: number;
  readonly command: unknown;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly failure?: string;
}

type Waiting = PromiseWithResolvers<unknown>;

export class ProcessLink {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  /** Starts a program beside this file; `data` is its only argument, as JSON. */
  constructor(file: string, data: object, execArgv: readonly string[] = []) {
    this.#child = fork(new URL(file, import.meta.url), [JSON.stringify(data)], {
      execArgv: [...execArgv],
      // Half of the time until a control plane runs is spent on reading its sources.
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] ?? join(tmpdir(), "meltemi-compiled"),
      },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child.on("message", (answer) => this.#settle(answer as Answer));
    this.#child.once("exit", (code, signal) => this.#fail(`${file} ended with ${signal ?? `code ${code}`}`));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Rejects with what went wrong in the process, and where it ends without an answer. */
  ask<Value>(command: unknown): Promise<Value> {
    const waiting: Waiting = Promise.withResolvers();
    const question: Question = { id: this.#nextId++, command };
    this.#waiting.set(question.id, waiting);
    if (this.#child.connected) this.#child.send(question);
    else this.#fail("the process is gone");
    return waiting.promise as Promise<Value>;
  }

  /** Lets the process end by itself, and insists after `graceMs`. */
  async stop(graceMs = 15_000): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    if (this.#child.connected) this.#child.disconnect();
    await exited;
    clearTimeout(timer);
  }

  #settle({ id, value, failure }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (failure === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(failure));
  }

  #fail(reason: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }
}

/** The other side. `stop` is called when the asking process lets go or is gone; the process ends after it. */
export function answerParent<Command>(answer: (command: Command) => Promise<unknown>, stop: () => Promise<void>): void {
  process.on("message", (message) => {
    const { id, command } = message as { readonly id: number; readonly command: Command };
    const send = (result: Omit<Answer, "id">): void => {
      if (process.connected) process.send?.({ id, ...result });
    };
    answer(command).then(
      (value) => send({ value }),
      (cause: unknown) => send({ failure: cause instanceof Error ? cause.message : String(cause) }),
    );
  });
  process.once("disconnect", () => void stop().finally(() => process.exit(0)));
  // Ctrl-C goes to all processes of a terminal: the asking one decides.
  process.on("SIGINT", () => undefined);
}

/** What the process was started with. */
export function readStartData<Data>(): Data {
  return JSON.parse(process.argv[2] ?? "{}") as Data;
}
