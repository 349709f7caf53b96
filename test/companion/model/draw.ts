/** Parts of configurations at random, and the words that they are made of. */
import type { Random } from "./random.ts";
import type { Fault, HeaderChange, HeaderRule, Mutations } from "./world.ts";

/** What is drawn from: chance, and a count for names that never come twice. */
export interface Draw {
  readonly random: Random;
  /** A name that nothing had before. */
  fresh(word: string): string;
}

export function createDraw(random: Random): Draw {
  let count = 0;
  return {
    random,
    fresh(word) {
      count += 1;
      return `${word}-${count}`;
    },
  };
}

export const ruleHeaders = ["x-a", "x-b", "x-c"] as const;
export const headerValues = ["one", "two", "onetwo", "10", "42", "99"] as const;

export function drawHeaderRule({ random }: Draw): HeaderRule {
  const kind = random.pick(["exact", "exact", "prefix", "suffix", "contains", "present", "regex", "range"] as const);
  const value = kind === "regex" ? random.pick(["o.*", "[0-9]+", "one|two"]) : random.pick(headerValues);
  return { name: random.pick(ruleHeaders), kind, value, isInverted: random.chance(15) };
}

/** Mostly none. */
export function drawMutations(draw: Draw): Mutations {
  const { random } = draw;
  const requestNames = ["x-a", "x-b", "x-m-1", "x-m-2"];
  const responseNames = ["x-r-1", "x-r-2", "x-r-3", "x-r-4"];
  const some = (names: readonly string[]): readonly string[] => (random.chance(30) ? random.some(names, 1) : []);
  return {
    request: some(requestNames).map((name) => drawChange(draw, name)),
    requestRemoved: some(requestNames),
    response: some(responseNames).map((name) => drawChange(draw, name)),
    responseRemoved: some(responseNames),
  };
}

function drawChange({ random, fresh }: Draw, name: string): HeaderChange {
  const actions = [
    "APPEND_IF_EXISTS_OR_ADD",
    "ADD_IF_ABSENT",
    "OVERWRITE_IF_EXISTS_OR_ADD",
    "OVERWRITE_IF_EXISTS",
  ] as const;
  return { name, value: fresh("set"), action: random.pick(actions) };
}

export function drawFault(draw: Draw): Fault {
  const { random } = draw;
  const isAbort = random.chance(50);
  return {
    abort: isAbort ? random.pick([418, 429, 503]) : undefined,
    delayMs: !isAbort || random.chance(30) ? 15 : undefined,
    header: random.chance(70) ? drawHeaderRule(draw) : undefined,
  };
}
