import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { ReadTurns, readSize } from "./read-turns.ts";

const othersHadTheirTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function start(hasReader: boolean) {
  const stream = new PassThrough().resume();
  const state = { isBlocked: false };
  const turns = new ReadTurns(stream, { hasReader, mayGoOn: () => !state.isBlocked });
  return { stream, state, turns };
}

it.each([
  ["a socket with a reader", true, 1],
  ["a stream", false, 4],
])("lets others read after some full reads of %s", async (_what, hasReader, reads) => {
  const { stream, turns } = start(hasReader);
  for (let round = 0; round < 2; round++) {
    for (let read = 1; read < reads; read++) turns.count(readSize);
    expect(stream.isPaused()).toBe(false);
    turns.count(readSize);
    expect(stream.isPaused()).toBe(true);
    await othersHadTheirTurn();
    expect(stream.isPaused()).toBe(false);
  }
});

it("knows from a read that is not full that there is no more", () => {
  const { stream, turns } = start(true);
  turns.count(readSize - 1);
  expect(stream.isPaused()).toBe(false);
});

it("leaves paused what was paused meanwhile", async () => {
  const { stream, state, turns } = start(true);
  turns.count(readSize);
  state.isBlocked = true;
  await othersHadTheirTurn();
  expect(stream.isPaused()).toBe(true);
});

it("has some of many go on in each turn, first come first served", async () => {
  const all = Array.from({ length: 20 }, () => start(true));
  for (const { turns } of all) turns.count(readSize);
  const goesOn = (): number => all.filter(({ stream }) => !stream.isPaused()).length;
  const seen: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    await othersHadTheirTurn();
    seen.push(goesOn());
  }
  expect(seen).toEqual([8, 16, 20]);
  expect(all[0]?.stream.isPaused()).toBe(false);
});

it("has whoever makes much work go on alone", async () => {
  const all = Array.from({ length: 3 }, () => start(true));
  for (const { turns } of all) turns.countWork();
  const seen: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    await othersHadTheirTurn();
    seen.push(all.filter(({ stream }) => !stream.isPaused()).length);
  }
  expect(seen).toEqual([1, 2, 3]);
});
