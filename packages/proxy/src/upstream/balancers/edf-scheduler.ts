/**
 * Weighted round robin by earliest deadline first (https://en.wikipedia.org/wiki/Earliest_deadline_first_scheduling): whoever
 * is chosen is next due 1 / weight later, and the earliest due is chosen, so that turns are spread as evenly as they can be.
 */
interface Entry<Item> {
  readonly item: Item;
  due: number;
  /** Among those that are due at once, the one that has waited longest goes first. */
  turn: number;
}

/** Rounds that the beginning is put off by at most, so that proxies that start together do not all choose the same. */
const maxPhase = 1024;

export class EdfScheduler<Item> {
  readonly #heap: Entry<Item>[] = [];
  readonly #weightOf: (item: Item) => number;
  #turns = 0;

  /** `weightOf` must be above 0; it is asked anew for each turn. `phase`, below 1, says where in the order to begin. */
  constructor(items: readonly Item[], weightOf: (item: Item) => number, phase = 0) {
    this.#weightOf = weightOf;
    const begin = phase * maxPhase;
    for (const item of items) {
      const weight = weightOf(item);
      this.#push({ item, due: (Math.floor(begin * weight) + 1) / weight, turn: this.#turns });
      this.#turns += 1;
    }
  }

  /** The next; undefined where there is none at all. */
  next(): Item | undefined {
    const entry = this.#heap[0];
    if (entry === undefined) return undefined;
    entry.due += 1 / this.#weightOf(entry.item);
    entry.turn = this.#turns;
    this.#turns += 1;
    this.#sink();
    return entry.item;
  }

  #push(entry: Entry<Item>): void {
    const heap = this.#heap;
    let place = heap.length;
    heap.push(entry);
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isEarlier(entry, parent)) break;
      heap[place] = parent;
      place = above;
    }
    heap[place] = entry;
  }

  #sink(): void {
    const heap = this.#heap;
    const entry = heap[0];
    if (entry === undefined) return;
    let place = 0;
    for (;;) {
      const left = heap[2 * place + 1];
      const right = heap[2 * place + 2];
      if (left === undefined) break;
      const isRight = right !== undefined && isEarlier(right, left);
      const child = isRight ? right : left;
      if (!isEarlier(child, entry)) break;
      heap[place] = child;
      place = 2 * place + (isRight ? 2 : 1);
    }
    heap[place] = entry;
  }
}

function isEarlier(one: Entry<unknown>, other: Entry<unknown>): boolean {
  return one.due < other.due || (one.due === other.due && one.turn < other.turn);
}
