import { expect, it } from "vitest";
import { ConnectionRush } from "./connection-rush.ts";
import { TestClock } from "./test-clock.ts";

function start() {
  const clock = new TestClock();
  const said: string[] = [];
  const rush = new ConnectionRush(clock, {
    begin: (kind) => said.push(`begin ${kind}`),
    end: (kind) => said.push(`end ${kind}`),
  });
  const come = (count: number): void => {
    for (let index = 0; index < count; index++) rush.come();
  };
  const go = (count: number): void => {
    for (let index = 0; index < count; index++) rush.go();
  };
  return { clock, said, rush, come, go };
}

it("begins when many come or go within half a second", () => {
  const { said, come } = start();
  come(99);
  expect(said).toEqual([]);
  come(1);
  expect(said).toEqual(["begin lasting"]);
});

it("tells whether connections come to stay, and when that changes", () => {
  const { clock, said, come, go } = start();
  go(60);
  come(40);
  expect(said.splice(0)).toEqual(["begin passing"]);
  come(100);
  clock.advance(500);
  come(100);
  clock.advance(500);
  expect(said.splice(0)).toEqual(["begin lasting", "end passing"]);
  go(150);
  come(150);
  clock.advance(500);
  expect(said.splice(0)).toEqual(["begin passing", "end lasting"]);
  clock.advance(2_000);
  expect(said).toEqual(["end passing"]);
});

it("is none where as many come over a longer time", () => {
  const { clock, said, come } = start();
  for (let period = 0; period < 20; period++) {
    come(90);
    clock.advance(500);
  }
  expect(said).toEqual([]);
});

it("goes on while many come now and then, and ends after two seconds with few", () => {
  const { clock, said, come } = start();
  come(100);
  clock.advance(1_500);
  come(100);
  clock.advance(2_000);
  expect(said).toEqual(["begin lasting"]);
  clock.advance(500);
  expect(said).toEqual(["begin lasting", "end lasting"]);
  come(100);
  expect(said).toEqual(["begin lasting", "end lasting", "begin lasting"]);
});

it("ends when it is closed, and is none afterwards", () => {
  const { clock, said, rush, come } = start();
  come(120);
  rush.close();
  rush.close();
  come(120);
  clock.advance(10_000);
  expect(said).toEqual(["begin lasting", "end lasting"]);
});
