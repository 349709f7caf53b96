import { expect, it } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { HandshakeLine } from "./handshake-line.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A line with room for two, each of which has a second in any case. */
function start() {
  const clock = new TestClock();
  const line = new HandshakeLine(clock, { most: 2, leastMs: 1_000 });
  const said: string[] = [];
  const leaves = new Map<string, () => void>();
  const enter = (...names: readonly string[]): void => {
    for (const name of names) {
      void line
        .enter(() => said.push(`${name} given up`))
        .then((leave) => {
          said.push(name);
          leaves.set(name, leave);
        });
    }
  };
  /** What was said in the next so many turns, each by itself. */
  const turns = async (count: number): Promise<readonly string[]> => {
    const seen: string[] = [];
    for (let index = 0; index < count; index++) {
      await turn();
      seen.push(said.splice(0).join(", "));
    }
    return seen;
  };
  return { clock, line, enter, turns, leave: (name: string) => leaves.get(name)?.() };
}

it("answers one in a turn, first come first served", async () => {
  const { enter, turns } = start();
  enter("a", "b");
  expect(await turns(3)).toEqual(["a", "b", ""]);
});

it("has those wait for whom there is no room, until somebody is done", async () => {
  const { clock, enter, turns, leave } = start();
  enter("a", "b", "c", "d");
  expect(await turns(3)).toEqual(["a", "b", ""]);
  clock.advance(999);
  expect(await turns(1)).toEqual([""]);
  leave("b");
  expect(await turns(2)).toEqual(["c", ""]);
  leave("b");
  expect(await turns(1)).toEqual([""]);
});

it("gives up who is not done in time where others wait, the oldest first", async () => {
  const { clock, enter, turns } = start();
  enter("a");
  await turn();
  clock.advance(400);
  enter("b", "c", "d");
  expect(await turns(3)).toEqual(["a, b", "", ""]);
  clock.advance(600);
  expect(await turns(2)).toEqual(["a given up, c", ""]);
  clock.advance(399);
  expect(await turns(1)).toEqual([""]);
  clock.advance(1);
  expect(await turns(2)).toEqual(["b given up, d", ""]);
});

it("leaves whoever is slow alone while nobody waits", async () => {
  const { clock, enter, turns, leave } = start();
  enter("a", "b");
  await turns(2);
  clock.advance(3_600_000);
  expect(await turns(2)).toEqual(["", ""]);
  leave("a");
  enter("c");
  expect(await turns(2)).toEqual(["c", ""]);
});

it("answers nobody who waits when it is closed, and leaves no timer", async () => {
  const { clock, line, enter, turns, leave } = start();
  enter("a", "b", "c");
  await turns(3);
  expect(clock.running).toBe(1);
  line.close();
  leave("a");
  clock.advance(2_000);
  expect(await turns(2)).toEqual(["", ""]);
  expect(clock.running).toBe(0);
});
