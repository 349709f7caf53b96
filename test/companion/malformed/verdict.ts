/** Compares what became of an input with Envoy and with the companion. */
import type { Asked } from "./lanes.ts";
import type { SeenRequest } from "./recording-upstream.ts";

/**
 * - equal: the same answers, and the upstream saw the same, byte for byte
 * - stricter: the upstream saw less, and nothing that it did not see with Envoy
 * - answered otherwise: the upstream saw the same, the client got something else
 * - passed on otherwise: the upstream saw the same requests for the same hosts with the same content, in other headers
 * - laxer: the upstream saw what it did not see with Envoy
 */
export type Comparison = "equal" | "stricter" | "answered otherwise" | "passed on otherwise" | "laxer";

export function compareVerdicts<Answer>(envoy: Asked<Answer>, companion: Asked<Answer>): Comparison {
  const [theirs, ours] = [listWhole(envoy), listWhole(companion)];
  const isSame = JSON.stringify(envoy.client) === JSON.stringify(companion.client);
  if (!hasOwnHeads(companion.seen, envoy.seen)) return "laxer";
  const added = takeAway(ours, theirs);
  if (added.length === 0) {
    if (ours.length < theirs.length) return "stricter";
    return isSame ? "equal" : "answered otherwise";
  }
  return isSame && takeAway(ours.map(describe), theirs.map(describe)).length === 0 ? "passed on otherwise" : "laxer";
}

/** In HTTP/2 the order in which two requests get to the upstream is nobody's. */
function listWhole({ seen }: Asked<unknown>): readonly SeenRequest[] {
  return seen.filter(({ isWhole }) => isWhole);
}

/** Everything of `all` that is not in `taken`, each as often. */
function takeAway<Each>(all: readonly Each[], taken: readonly Each[]): readonly Each[] {
  const left = taken.map((each) => JSON.stringify(each));
  return all.filter((each) => {
    const place = left.indexOf(JSON.stringify(each));
    if (place >= 0) left.splice(place, 1);
    return place < 0;
  });
}

function describe({ line, headers, body }: SeenRequest): string {
  return JSON.stringify([line, headers.filter((header) => header.startsWith("host: ")), body]);
}

/**
 * What was broken off is no request for a server that waits for its end. How much of it got there is a matter of
 * microseconds, so that only this is asked: that it is the input's own request, never one hidden in it.
 */
function hasOwnHeads(ours: readonly SeenRequest[], theirs: readonly SeenRequest[]): boolean {
  const known = new Set(theirs.map(({ line }) => line));
  const broken = ours.filter(({ isWhole }) => !isWhole);
  return broken.every(({ line }) => known.has(line) || !/smuggled|\/end/.test(line));
}
