import { expect, it } from "vitest";
import { TurnLine } from "./turn-line.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it("runs as many in a turn as have room in it, first come first served", async () => {
  const line = new TurnLine(2);
  const ran: string[] = [];
  for (const [name, weight] of [["a", 1] as const, ["b", 1] as const, ["c", 2] as const, ["d", 1] as const])
    line.take(weight, () => ran.push(name));
  expect(ran).toEqual([]);
  await turn();
  expect(ran.splice(0)).toEqual(["a", "b"]);
  await turn();
  expect(ran.splice(0)).toEqual(["c"]);
  await turn();
  expect(ran).toEqual(["d"]);
});

it("begins anew when nobody waited", async () => {
  const line = new TurnLine(1);
  const ran: number[] = [];
  for (let round = 0; round < 2; round++) {
    line.take(1, () => ran.push(round));
    await turn();
    await turn();
  }
  expect(ran).toEqual([0, 1]);
});
