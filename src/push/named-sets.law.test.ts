import fc from "fast-check";
import { expect, it } from "vitest";
import type { Built } from "../translate/built.ts";
import { internNames, type NameSet } from "./name-set.ts";
import { NamedCache } from "./part-cache.ts";
import { buildPart, buildSet, diffSets, listSet, type ResourceSet } from "./resource-set.ts";
import { resourceTypeOf } from "./resource-types.ts";
import { NamedSets } from "./scope-cache.ts";

const names = ["a", "b", "c", "d", "e"] as const;
type Name = (typeof names)[number];

/** What a name's generator does: makes this version, makes nothing, or throws. */
type Content = number | "nothing" | "throws";

type Step =
  | { readonly kind: "change"; readonly name: Name; readonly content: Content }
  | { readonly kind: "change all" }
  | { readonly kind: "resolve"; readonly list: number };

const content = fc.oneof(
  { arbitrary: fc.integer({ min: 1, max: 3 }), weight: 6 },
  { arbitrary: fc.constantFrom("nothing", "throws"), weight: 1 },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ kind: fc.constant("change"), name: fc.constantFrom(...names), content }), weight: 4 },
  { arbitrary: fc.record({ kind: fc.constant("change all") }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("resolve"), list: fc.nat(2) }), weight: 5 },
);

const lists: readonly NameSet[] = [internNames(names), internNames(["a", "b"]), internNames(["c", "zero"])];

/** Names with what a cache has to have of them, made from nothing each time. */
class Model {
  readonly contents = new Map<string, Content>(names.map((name) => [name, 1]));
  /** What was made last of those that throw now. */
  readonly #good = new Map<string, number>();

  generate(name: string): Built<object> | undefined {
    const now = this.contents.get(name) ?? "nothing";
    if (now === "throws") throw new Error("fails");
    return now === "nothing" ? undefined : this.#build(name, now);
  }

  describe({ names: wanted }: NameSet): readonly string[] {
    return [...wanted].flatMap((name) => {
      const now = this.contents.get(name) ?? "nothing";
      if (now === "nothing") this.#good.delete(name);
      if (typeof now === "number") this.#good.set(name, now);
      const version = now === "throws" ? this.#good.get(name) : now;
      return typeof version === "number" ? [`${name} ${version}`] : [];
    });
  }

  #build(name: string, version: number): Built<object> {
    return { name, message: { cluster_name: name, endpoints: [{ priority: version }] }, sources: [] };
  }
}

it("makes of what changed what it would make of everything, and tells the difference", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Model();
      const cache = new NamedCache(resourceTypeOf("eds"), () => undefined);
      for (const name of names) cache.addDependency(name, `service of ${name}`);
      const sets = new NamedSets(cache, (name) => model.generate(name));
      // All are asked for in every epoch, as by a stream that lives; the model keeps what was good last.
      const last: (ResourceSet | undefined)[] = [];
      const resolve = (index: number): void => {
        const wanted = lists[index] ?? internNames([]);
        const { set } = sets.resolve(wanted);
        const fresh = buildSet([buildPart(listSet(set))]);
        expect(set.version).toBe(fresh.version);
        const before = last[index];
        if (before !== undefined) {
          const apart = buildSet([buildPart(listSet(before))]);
          expect(diffSets(before, set)).toEqual(diffSets(apart, fresh));
        }
        last[index] = set;
        const versions = [...listSet(set)].map(({ name, built }) => {
          const { endpoints } = built.message as { readonly endpoints: readonly { readonly priority: number }[] };
          return `${name} ${endpoints[0]?.priority}`;
        });
        expect(versions).toEqual(model.describe(wanted));
      };
      for (const each of steps) {
        if (each.kind === "resolve") resolve(each.list);
        else if (each.kind === "change all") cache.invalidateAll();
        else {
          for (const [index] of lists.entries()) resolve(index);
          model.contents.set(each.name, each.content);
          cache.invalidateDependents([`service of ${each.name}`]);
        }
      }
    }),
    { numRuns: 300 },
  );
});
