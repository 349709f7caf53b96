/**
 * Headers of a message: an ordered list in which a name may come several times. Names are lower case; pseudo headers are
 * no part of it. Kept flat (name, value, name, value …), which is what parsers give and codecs take.
 */
export class HeaderList {
  /** Names at even places, values at odd ones. Whoever changes it knows what it does. */
  raw: string[];
  /** How names were spelt, by lower-case name; only where a codec was told to keep that (preserve_case). */
  spelling: ReadonlyMap<string, string> | undefined = undefined;

  constructor(raw: string[] = []) {
    this.raw = raw;
  }

  /** From text as it came, in any case. */
  static fromRaw(raw: readonly string[]): HeaderList {
    const list = new Array<string>(raw.length);
    for (let index = 0; index < raw.length; index += 2) {
      list[index] = (raw[index] ?? "").toLowerCase();
      list[index + 1] = raw[index + 1] ?? "";
    }
    return new HeaderList(list);
  }

  /** The first value; undefined where there is none. `name` is lower case, here and below. */
  get(name: string): string | undefined {
    const { raw } = this;
    for (let index = 0; index < raw.length; index += 2) if (raw[index] === name) return raw[index + 1];
    return undefined;
  }

  /** All values in order. */
  getAll(name: string): readonly string[] {
    const { raw } = this;
    const values: string[] = [];
    for (let index = 0; index < raw.length; index += 2) if (raw[index] === name) values.push(raw[index + 1] ?? "");
    return values;
  }

  /** All values as one, joined by a comma; undefined where there is none. */
  joined(name: string): string | undefined {
    const first = this.get(name);
    if (first === undefined) return undefined;
    const all = this.getAll(name);
    return all.length === 1 ? first : all.join(",");
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** One value in the place of the first, and no other. */
  set(name: string, value: string): void {
    const { raw } = this;
    let place = -1;
    for (let index = 0; index < raw.length; index += 2) {
      if (raw[index] !== name) continue;
      if (place < 0) place = index;
      else {
        raw.splice(index, 2);
        index -= 2;
      }
    }
    if (place < 0) raw.push(name, value);
    else raw[place + 1] = value;
  }

  /** One more value, at the end. */
  append(name: string, value: string): void {
    this.raw.push(name, value);
  }

  remove(name: string): boolean {
    const { raw } = this;
    const before = raw.length;
    for (let index = raw.length - 2; index >= 0; index -= 2) if (raw[index] === name) raw.splice(index, 2);
    return raw.length !== before;
  }

  clone(): HeaderList {
    const list = new HeaderList(this.raw.slice());
    list.spelling = this.spelling;
    return list;
  }

  *[Symbol.iterator](): Generator<readonly [name: string, value: string]> {
    const { raw } = this;
    for (let index = 0; index < raw.length; index += 2) yield [raw[index] ?? "", raw[index + 1] ?? ""];
  }
}
