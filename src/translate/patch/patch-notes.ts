/** What became of patches: which found something, and which could not be applied where they did. */
import type { CompiledPatch } from "./compile-filter.ts";

export interface PatchNotes {
  /** Patches that changed something. */
  readonly hits: ReadonlySet<CompiledPatch>;
  /** Why a patch was left out, in one place at least. */
  readonly failures: ReadonlyMap<CompiledPatch, string>;
}

/** What became of one patch that is for a proxy. */
export interface PatchOutcome {
  readonly patch: CompiledPatch;
  /** True where it changed something. */
  readonly isHit: boolean;
  /** Why it was left out in one place at least. */
  readonly failure: string | undefined;
}

/** Notes in the making; lives for one call. */
export interface PatchLedger extends PatchNotes {
  hit(patch: CompiledPatch): void;
  fail(patch: CompiledPatch, reason: string): void;
  add(notes: PatchNotes): void;
}

export const noNotes: PatchNotes = { hits: new Set(), failures: new Map() };

export function createLedger(): PatchLedger {
  const hits = new Set<CompiledPatch>();
  const failures = new Map<CompiledPatch, string>();
  return {
    hits,
    failures,
    hit: (patch) => void hits.add(patch),
    fail: (patch, reason) => void failures.set(patch, reason),
    add(notes) {
      for (const patch of notes.hits) hits.add(patch);
      for (const [patch, reason] of notes.failures) failures.set(patch, reason);
    },
  };
}
