/** Worlds in the order in which they came, and which of them hold at a moment. */
import { type ChainSpec, findChain, type World } from "./world.ts";

/** From the first to the last of the worlds that something may have met, by number. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** More than any request may live through. */
const kept = 1000;

export class History {
  readonly #worlds = new Map<number, World>();
  readonly #endedAt = new WeakMap<ChainSpec, number>();
  #pushed = 0;
  #settled = 0;

  constructor(first: World) {
    this.#worlds.set(0, first);
  }

  /** The number of the newest world that may hold. */
  get pushed(): number {
    return this.#pushed;
  }

  /** The number of the world that holds for whatever begins now, unless a newer one does already. */
  get settled(): number {
    return this.#settled;
  }

  get newest(): World {
    return this.at(this.#pushed);
  }

  at(number: number): World {
    const world = this.#worlds.get(number);
    if (world === undefined) throw new Error(`the world ${number} is forgotten`);
    return world;
  }

  worlds({ first, last }: Span): readonly World[] {
    return Array.from({ length: last - first + 1 }, (_none, index) => this.at(first + index));
  }

  /** A world begins to hold. */
  push(world: World): void {
    const chainsOf = ({ listeners }: World): readonly ChainSpec[] =>
      [...listeners.values()].flatMap(({ chains }) => chains);
    const left = new Set(chainsOf(world));
    for (const chain of chainsOf(this.newest)) if (!left.has(chain)) this.#endedAt.set(chain, performance.now());
    this.#pushed += 1;
    this.#worlds.set(this.#pushed, world);
    this.#worlds.delete(this.#pushed - kept);
  }

  /** The newest world holds, and no other. */
  settle(): void {
    this.#settled = this.#pushed;
  }

  /** Chains that a connection may have been given; undefined among them where nothing may have listened. */
  chains(span: Span, slot: string, sni: string | undefined): ReadonlySet<ChainSpec | undefined> {
    return new Set(this.worlds(span).map((world) => findChain(world, slot, sni)));
  }

  /** Milliseconds since a chain is no longer part of any configuration; undefined where it is. */
  endedForMs(chain: ChainSpec): number | undefined {
    const at = this.#endedAt.get(chain);
    return at === undefined ? undefined : performance.now() - at;
  }
}
