import { expect, it } from "vitest";
import { Bag, type Placed } from "./bag.ts";

interface Thing extends Placed {
  readonly name: string;
}

const thing = (name: string): Thing => ({ name, place: -1 });

it("keeps what came and did not go, in whatever order things go", () => {
  const names = ["a", "b", "c", "d"];
  for (const first of names) {
    for (const second of names) {
      const bag = new Bag<Thing>();
      const things = new Map(names.map((name) => [name, thing(name)]));
      for (const each of things.values()) bag.add(each);
      const gone = [first, second].map((name) => things.get(name)).filter((each) => each !== undefined);
      expect(gone.map((each) => bag.delete(each))).toEqual([true, first !== second]);
      const left = names.filter((name) => name !== first && name !== second);
      expect([
        bag.size,
        bag
          .list()
          .map(({ name }) => name)
          .sort(),
      ]).toEqual([left.length, left]);
    }
  }
});

it("knows what is another's", () => {
  const [one, other] = [new Bag<Thing>(), new Bag<Thing>()];
  const its = thing("its");
  one.add(its);
  expect([other.delete(its), one.delete(its), one.delete(its)]).toEqual([false, true, false]);
});
