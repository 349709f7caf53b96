import { encodeBytes, encodeText, internNames, type NameList } from "./name-list.ts";
import type { ResponseDigest } from "./response-digest.ts";

/** What a proxy keeps of one resource: enough to ask for what it leads to, and to say that it has it. */
export interface HeldResource {
  readonly version: string;
  /** Load assignments of a cluster, route configurations of a listener. */
  readonly refs: readonly string[];
}

/** Chains longer than this begin anew: proxies that fell behind must not keep all that came since. */
const mostNext = 64;

/** What proxies have of one kind: immutable and shared, as a thousand proxies go through the same states. */
export class Holding {
  static readonly empty = new Holding(new Map());
  readonly #resources: ReadonlyMap<string, HeldResource>;
  readonly #next = new Map<string, WeakRef<Holding>>();
  #refs: NameList | undefined;
  #versions: Buffer | undefined;

  private constructor(resources: ReadonlyMap<string, HeldResource>) {
    this.#resources = resources;
  }

  /** After a response; one of the state of the world replaces what there was where it is whole. */
  after(digest: ResponseDigest, isWhole: boolean): Holding {
    const key = `${isWhole} ${digest.key}`;
    const known = this.#next.get(key)?.deref();
    if (known !== undefined) return known;
    const resources = new Map(isWhole ? [] : this.#resources);
    for (const [name, held] of digest.resources) resources.set(name, held);
    for (const name of digest.removed) resources.delete(name);
    const made = new Holding(resources);
    if (this.#next.size >= mostNext) this.#next.clear();
    this.#next.set(key, new WeakRef(made));
    return made;
  }

  /** Names that the resources lead to. */
  refs(): NameList {
    this.#refs ??= internNames([...this.#resources.values()].flatMap(({ refs }) => refs));
    return this.#refs;
  }

  /** As initial_resource_versions of a delta request. */
  encodedVersions(): Buffer {
    this.#versions ??= Buffer.concat(
      [...this.#resources].map(([name, { version }]) =>
        encodeBytes(5, Buffer.concat([encodeText(1, name), encodeText(2, version)])),
      ),
    );
    return this.#versions;
  }
}
