/** What a bag keeps. */
export interface Placed {
  /** Where in its bag it is: the bag's affair, -1 outside of it. */
  place: number;
}

/**
 * Things that come and go all the time, in no order. A Set or Map grows into a new table again and again as things come
 * and go, and every table leads to the next one and to all that it held: once one of them is old, all things that follow
 * are kept until the next full collection. That was half of the collector's work in HTTP/2.
 */
export class Bag<Item extends Placed> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: Item): void {
    item.place = this.#items.length;
    this.#items.push(item);
  }

  /** False where it is not there. */
  delete(item: Item): boolean {
    const { place } = item;
    if (place < 0 || this.#items[place] !== item) return false;
    item.place = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return true;
    this.#items[place] = last;
    last.place = place;
    return true;
  }

  /** All that are there now: a copy, so that they may go meanwhile. */
  list(): readonly Item[] {
    return this.#items.slice();
  }
}
