import { expect, it } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { ConnectionRush } from "./connection-rush.ts";

function start() {
  const clock = new TestClock();
  const said: string[] = [];
  const rush = new ConnectionRush(clock, { begin: () => said.push("begin"), end: () => said.push("end") });
  const note = (count: number): void => {
    for (let index = 0; index < count; index++) rush.note();
  };
  return { clock, said, rush, note };
}

it("begins when many come or go within half a second", () => {
  const { said, note } = start();
  note(99);
  expect(said).toEqual([]);
  note(1);
  expect(said).toEqual(["begin"]);
});

it("is none where as many come over a longer time", () => {
  const { clock, said, note } = start();
  for (let period = 0; period < 20; period++) {
    note(90);
    clock.advance(500);
  }
  expect(said).toEqual([]);
});

it("goes on while many come now and then, and ends after two seconds with few", () => {
  const { clock, said, note } = start();
  note(100);
  clock.advance(1_500);
  note(100);
  clock.advance(2_000);
  expect(said).toEqual(["begin"]);
  clock.advance(500);
  expect(said).toEqual(["begin", "end"]);
  note(100);
  expect(said).toEqual(["begin", "end", "begin"]);
});

it("ends when it is closed, and is none afterwards", () => {
  const { clock, said, rush, note } = start();
  note(120);
  rush.close();
  rush.close();
  note(120);
  clock.advance(10_000);
  expect(said).toEqual(["begin", "end"]);
});
