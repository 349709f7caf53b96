import { Duplex } from "node:stream";
import type { NetworkObserver } from "./types.ts";

/** A stream whose bytes others see on their way, and may hold up. */
export class ObservedStream extends Duplex {
  readonly #below: Duplex;
  readonly #observers: readonly NetworkObserver[];

  constructor(below: Duplex, observers: readonly NetworkObserver[]) {
    super({ allowHalfOpen: true });
    this.#below = below;
    this.#observers = observers;
    below.on("data", (chunk: Buffer) => this.#take(chunk));
    below.on("end", () => this.push(null));
    below.on("error", (cause) => this.destroy(cause));
    below.on("close", () => this.destroy());
    below.pause();
  }

  override _read(): void {
    this.#below.resume();
  }

  override _write(chunk: Buffer, _encoding: string, callback: (cause?: Error | null) => void): void {
    for (const observer of this.#observers) observer.fromServer(chunk);
    this.#below.write(chunk, callback);
  }

  override _final(callback: (cause?: Error | null) => void): void {
    this.#below.end(callback);
  }

  override _destroy(cause: Error | null, callback: (cause?: Error | null) => void): void {
    this.#below.destroy();
    callback(cause);
  }

  #take(chunk: Buffer): void {
    const delays: Promise<void>[] = [];
    for (const observer of this.#observers) {
      const delay = observer.fromClient(chunk);
      if (delay !== undefined) delays.push(delay);
    }
    if (delays.length === 0) {
      if (!this.push(chunk)) this.#below.pause();
      return;
    }
    this.#below.pause();
    void Promise.all(delays).then(() => {
      if (!this.destroyed && this.push(chunk)) this.#below.resume();
    });
  }
}
