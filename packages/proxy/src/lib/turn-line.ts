interface Waiting {
  readonly weight: number;
  readonly run: () => void;
}

/**
 * Work of one kind whose turn has yet to come, of the event loop as a whole: there is one, so there is one line for each kind
 * in front of it. First come first served, in each turn as many as have room in it: however many come at once, whoever has
 * little to say waits for some of them at most.
 */
export class TurnLine {
  readonly #room: number;
  readonly #waiting: Waiting[] = [];
  #isScheduled = false;

  /** `room` of a turn: about a millisecond of work. */
  constructor(room: number) {
    this.#room = room;
  }

  /** Calls `run`, which takes `weight` of the room, in a later turn. */
  take(weight: number, run: () => void): void {
    this.#waiting.push({ weight, run });
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      for (let weight = 0; weight < this.#room; ) {
        const next = this.#waiting.shift();
        if (next === undefined) break;
        weight += next.weight;
        next.run();
      }
      if (this.#waiting.length > 0) this.#schedule();
    });
  }
}
