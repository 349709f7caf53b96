import { expect, test } from "vitest";
import { TestClock } from "../../test/support/test-clock.ts";
import { FanOut, type FanOutMember } from "./fan-out.ts";

/** A stream with so many responses to send, which are taken when the test says so. */
class Member implements FanOutMember {
  readonly size: number;
  due: number;
  written = 0;
  isCut = false;
  #onWritten: (() => void) | undefined;

  constructor(due: number, size = 10) {
    this.due = due;
    this.size = size;
  }

  writeNext(onWritten: () => void): number {
    if (this.due === 0) return 0;
    this.due -= 1;
    this.written += 1;
    this.#onWritten = onWritten;
    return this.size;
  }

  noteQueueTime(): void {}

  cutOff(): void {
    this.isCut = true;
  }

  /** The client read what was written. */
  read(): void {
    const onWritten = this.#onWritten;
    this.#onWritten = undefined;
    onWritten?.();
  }
}

function start(maxStalledBytes = 1000) {
  const clock = new TestClock();
  const turns: (() => void)[] = [];
  let idle = 0;
  const fanOut = new FanOut({
    clock,
    yieldTurn: (run) => void turns.push(run),
    maxWriting: 2,
    stallMs: 100,
    sendTimeoutMs: 1000,
    maxStalledBytes,
    turnMs: 10,
    onIdle: () => {
      idle += 1;
    },
  });
  const runTurns = (): void => {
    for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) turn();
  };
  return { clock, fanOut, runTurns, idleCount: () => idle };
}

test("only so many streams are written to at once, the first first", () => {
  const { fanOut, runTurns } = start();
  const members = [new Member(1), new Member(1), new Member(1)];
  for (const member of members) fanOut.enqueue(member);
  runTurns();
  expect(members.map(({ written }) => written)).toEqual([1, 1, 0]);
  members[0]?.read();
  runTurns();
  expect(members.map(({ written }) => written)).toEqual([1, 1, 1]);
});

test("a stream has one response under way and goes to the end of the line for the next", () => {
  const { fanOut, runTurns } = start();
  const [busy, other, last] = [new Member(3), new Member(1), new Member(1)];
  for (const member of [busy, other, last]) fanOut.enqueue(member);
  runTurns();
  expect(busy.written).toBe(1);
  busy.read();
  runTurns();
  expect([busy.written, last.written]).toEqual([1, 1]);
  last.read();
  runTurns();
  expect(busy.written).toBe(2);
});

test("what comes while a stream is written to is not forgotten", () => {
  const { fanOut, runTurns } = start();
  const member = new Member(1);
  fanOut.enqueue(member);
  runTurns();
  member.due = 1;
  fanOut.enqueue(member);
  runTurns();
  expect(member.written).toBe(1);
  member.read();
  runTurns();
  expect(member.written).toBe(2);
});

test("clients that do not read lose their places, and in the end their streams", () => {
  const { clock, fanOut, runTurns } = start();
  const [dead, dying, alive] = [new Member(1), new Member(1), new Member(1)];
  for (const member of [dead, dying, alive]) fanOut.enqueue(member);
  runTurns();
  expect(alive.written).toBe(0);
  clock.advance(100);
  runTurns();
  expect(alive.written).toBe(1);
  expect(fanOut.count().stalledBytes).toBe(20);
  alive.read();
  clock.advance(900);
  expect([dead.isCut, dying.isCut, alive.isCut]).toEqual([true, true, false]);
  fanOut.remove(dead);
  fanOut.remove(dying);
  expect(fanOut.count()).toEqual({ waiting: 1, writing: 0, stalledBytes: 0 });
});

test("places are kept where too much lies unread already", () => {
  const { clock, fanOut, runTurns } = start(15);
  const [first, second, third] = [new Member(1), new Member(1), new Member(1)];
  for (const member of [first, second, third]) fanOut.enqueue(member);
  runTurns();
  clock.advance(100);
  runTurns();
  expect(third.written).toBe(1);
  const fourth = new Member(1);
  fanOut.enqueue(fourth);
  clock.advance(100);
  runTurns();
  expect(fourth.written).toBe(0);
  expect(fanOut.count().stalledBytes).toBe(10);
});

test("says when nothing is left to do", () => {
  const { fanOut, runTurns, idleCount } = start();
  const member = new Member(1);
  fanOut.enqueue(member);
  runTurns();
  expect(idleCount()).toBe(0);
  member.read();
  runTurns();
  expect(idleCount()).toBeGreaterThan(0);
});
