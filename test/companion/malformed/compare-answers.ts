/** Compares what clients of Envoy and of the companion get of the same answer of an upstream. */
import type { ClientAnswer } from "./answers.ts";
import type { Comparison } from "./verdict.ts";

/**
 * - equal: the same, byte for byte; or broken off in both, however much of it had gone out
 * - stricter: the client gets an error where it gets the upstream's answer from Envoy
 * - answered otherwise: an error in both, and not the same
 * - passed on otherwise: the same status and content, in other headers
 * - laxer: the client gets what it does not get from Envoy
 */
export function compareAnswers(envoy: readonly ClientAnswer[], companion: readonly ClientAnswer[]): Comparison {
  const [theirs, ours] = [keepWhole(envoy), keepWhole(companion)];
  if (JSON.stringify(theirs) === JSON.stringify(ours)) return "equal";
  if (ours.some(({ body, headers }) => !isOwn(body, headers, theirs))) return "laxer";
  const [their, our] = [theirs.filter(isGood), ours.filter(isGood)];
  if (our.length < their.length || ours.length < theirs.length) return "stricter";
  if (our.length > their.length) return "laxer";
  return JSON.stringify(our.map(describe)) === JSON.stringify(their.map(describe)) && our.length === ours.length
    ? "passed on otherwise"
    : "answered otherwise";
}

/** What breaks off is an error for the client, whatever has come before. */
function keepWhole(answers: readonly ClientAnswer[]): readonly ClientAnswer[] {
  return answers.filter(({ isWhole }) => isWhole);
}

function isGood({ status }: ClientAnswer): boolean {
  return status < 502;
}

function describe({ status, body }: ClientAnswer): string {
  return `${status} ${body}`;
}

/** Nothing of an answer that nobody asked for. */
function isOwn(body: string, headers: readonly string[], theirs: readonly ClientAnswer[]): boolean {
  const text = [...headers, body].join("\n");
  return !text.includes("smuggled") || theirs.some((answer) => answer.body === body);
}
