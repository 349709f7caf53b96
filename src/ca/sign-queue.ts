/** Bounds the signing that goes on at once: the threads that sign are few, and a queue without an end is memory. */
export interface SignQueueOptions {
  /** Runs at the same time; more than the platform has threads for only waits elsewhere. */
  readonly maxRunning: number;
  /** More than so many waiting are refused. */
  readonly maxWaiting: number;
}

export class SignQueue {
  readonly #options: SignQueueOptions;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: SignQueueOptions) {
    this.#options = options;
  }

  /** Runs a task when its turn comes, in the order of the calls; undefined where too many wait already. */
  run<Result>(task: () => Promise<Result>): Promise<Result> | undefined {
    const { maxRunning, maxWaiting } = this.#options;
    if (this.#running < maxRunning) return this.#start(task);
    if (this.#waiting.length >= maxWaiting) return undefined;
    return new Promise<void>((resolve) => this.#waiting.push(resolve)).then(() => this.#start(task));
  }

  async #start<Result>(task: () => Promise<Result>): Promise<Result> {
    this.#running += 1;
    try {
      return await task();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}
