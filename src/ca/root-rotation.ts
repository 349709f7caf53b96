/**
 * When the mesh's own root gives way to the next one, and in which order (row A7, check 24): the next root is made and
 * joins what is trusted; it signs when that was distributed for long enough; the last one leaves when nothing that it
 * signed can be valid any more. Pure.
 */
import { X509Certificate } from "node:crypto";
import type { RootPair, SelfSignedRoots } from "./self-signed-roots.ts";

export interface RotationRules {
  readonly nowMs: number;
  /** A root is replaced in the last so many hundredths of its life (istiod: 20). */
  readonly gracePercent: number;
  /** How long the next root is trusted before it signs. */
  readonly overlapMs: number;
  /** The longest life of an issued certificate. */
  readonly leafLifetimeMs: number;
  /** Somebody asked for it before its time. */
  readonly isRequested: boolean;
  /** Whether everybody in the mesh can have this root (PEM) by now. */
  readonly isDistributed: (certificate: string) => boolean;
}

export type RotationStep =
  /** The next root has to be made; see stageRoot. */
  | { readonly kind: "stage" }
  | { readonly kind: "store"; readonly what: "switched" | "dropped"; readonly roots: SelfSignedRoots }
  /** Nothing to be done before then; in the past where it is waited for distribution. */
  | { readonly kind: "wait"; readonly untilMs: number };

/** The next step, one at a time: each is stored before the next one is asked for. */
export function decideRotation(roots: SelfSignedRoots, rules: RotationRules): RotationStep {
  const { nowMs } = rules;
  const { next } = roots;
  if (next !== undefined) {
    const untilMs = findSwitch(roots.signing, next.stagedAtMs, rules.overlapMs);
    const hasEnded = lifeOf(roots.signing).endMs <= nowMs;
    // Where the last root is over nobody believes what it signed: there is nothing to wait for.
    if (hasEnded || (nowMs >= untilMs && rules.isDistributed(next.certificate)))
      return { kind: "store", what: "switched", roots: switchRoots(roots, next, rules) };
    return { kind: "wait", untilMs };
  }
  const retired = roots.retired.filter(({ untilMs }) => untilMs > nowMs);
  if (retired.length < roots.retired.length) return { kind: "store", what: "dropped", roots: { ...roots, retired } };
  const { startMs, endMs } = lifeOf(roots.signing);
  const dueMs = endMs - ((endMs - startMs) * rules.gracePercent) / 100;
  if (rules.isRequested || dueMs <= nowMs) return { kind: "stage" };
  return { kind: "wait", untilMs: Math.min(dueMs, ...retired.map(({ untilMs }) => untilMs)) };
}

/** A short life leaves no time for a long overlap: half of what is left then. */
function findSwitch(signing: RootPair, stagedAtMs: number, overlapMs: number): number {
  const leftMs = Math.max(lifeOf(signing).endMs - stagedAtMs, 0);
  return stagedAtMs + Math.min(overlapMs, leftMs / 2);
}

/** The roots with one more, which signs nothing yet. */
export function stageRoot(roots: SelfSignedRoots, made: RootPair, nowMs: number): SelfSignedRoots {
  return { ...roots, next: { ...made, stagedAtMs: nowMs } };
}

function switchRoots(
  roots: SelfSignedRoots,
  next: RootPair,
  { nowMs, leafLifetimeMs }: RotationRules,
): SelfSignedRoots {
  const untilMs = Math.min(nowMs + leafLifetimeMs, lifeOf(roots.signing).endMs);
  const leaving = untilMs > nowMs ? [{ certificate: roots.signing.certificate, untilMs }] : [];
  return {
    signing: { certificate: next.certificate, privateKey: next.privateKey },
    retired: [...roots.retired, ...leaving],
    more: roots.more,
  };
}

function lifeOf({ certificate }: RootPair): { readonly startMs: number; readonly endMs: number } {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  return { startMs: validFromDate.getTime(), endMs: validToDate.getTime() };
}
