/** What a table keeps. */
export interface Numbered<Item> {
  readonly id: number;
  /** The next one in its place of the table: the table's affair. */
  next: Item | undefined;
}

const places = 64;
const mask = places - 1;

/**
 * Streams by their number. It is no Map, whose table would be made anew again and again for what comes and goes at once: a
 * table of a fixed size that keeps nothing of a stream that has left.
 */
export class StreamTable<Item extends Numbered<Item>> {
  readonly #places: (Item | undefined)[] = new Array<Item | undefined>(places).fill(undefined);
  size = 0;

  get(id: number): Item | undefined {
    let item = this.#places[(id >>> 1) & mask];
    while (item !== undefined && item.id !== id) item = item.next;
    return item;
  }

  add(item: Item): void {
    const place = (item.id >>> 1) & mask;
    item.next = this.#places[place];
    this.#places[place] = item;
    this.size += 1;
  }

  /** False where it is not there. */
  delete(item: Item): boolean {
    const place = (item.id >>> 1) & mask;
    let before: Item | undefined;
    let at = this.#places[place];
    while (at !== undefined && at !== item) {
      before = at;
      at = at.next;
    }
    if (at === undefined) return false;
    if (before === undefined) this.#places[place] = item.next;
    else before.next = item.next;
    item.next = undefined;
    this.size -= 1;
    return true;
  }

  /** All that are there now: a copy, so that they may go meanwhile. */
  list(): readonly Item[] {
    const list: Item[] = [];
    for (let item of this.#places) for (; item !== undefined; item = item.next) list.push(item);
    return list;
  }
}
