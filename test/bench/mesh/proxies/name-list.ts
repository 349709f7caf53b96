import { encodeVarint } from "./wire-fields.ts";

/** Names of a subscription. Lists with the same names are the same object, so that a thousand proxies share one. */
export interface NameList {
  readonly names: readonly string[];
  /** Encoded as field `field` of a request, once for all who ask for them. */
  encoded(field: number): Buffer;
  /** What has to be asked for and dropped to get from this list to `next`; made once for each pair. */
  changesTo(next: NameList): NameChanges;
}

export interface NameChanges {
  readonly added: NameList;
  readonly removed: NameList;
}

const interned = new Map<string, WeakRef<NameList>>();

export function internNames(names: Iterable<string>): NameList {
  const sorted = [...new Set(names)].sort();
  const key = sorted.join("\n");
  const known = interned.get(key)?.deref();
  if (known !== undefined) return known;
  const list = new Names(sorted);
  interned.set(key, new WeakRef(list));
  for (const [old, reference] of interned) if (reference.deref() === undefined) interned.delete(old);
  return list;
}

class Names implements NameList {
  readonly names: readonly string[];
  readonly #encoded = new Map<number, Buffer>();
  readonly #changes = new WeakMap<NameList, NameChanges>();

  constructor(names: readonly string[]) {
    this.names = names;
  }

  encoded(field: number): Buffer {
    const known = this.#encoded.get(field);
    if (known !== undefined) return known;
    const made = Buffer.concat(this.names.map((name) => encodeText(field, name)));
    this.#encoded.set(field, made);
    return made;
  }

  changesTo(next: NameList): NameChanges {
    const known = this.#changes.get(next);
    if (known !== undefined) return known;
    const [before, after] = [new Set(this.names), new Set(next.names)];
    const made = { added: internNames(after.difference(before)), removed: internNames(before.difference(after)) };
    this.#changes.set(next, made);
    return made;
  }
}

/** A text as field `field` of a message. */
export function encodeText(field: number, text: string): Buffer {
  const bytes = Buffer.from(text);
  return encodeBytes(field, bytes);
}

/** Bytes as field `field` of a message. */
export function encodeBytes(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([encodeVarint(field * 8 + 2), encodeVarint(bytes.length), bytes]);
}
