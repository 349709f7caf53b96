/**
 * Carries out the rotation of the mesh's own root (root-rotation.ts) on the Secret that all replicas read. One replica runs
 * at a time, and where two do for a moment the API server takes one change alone. All of its state is in the Secret.
 */
import { formatInstant } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/pause.ts";
import { createRootAuthority } from "./authority.ts";
import {
  type AuthoritySecret,
  type AuthorityStoreOptions,
  findAuthoritySecret,
  isGeneratedIn,
} from "./authority-store.ts";
import { replaceSecret, type StoredSecret } from "./ca-secret.ts";
import { decideRotation, type RotationRules, stageRoot } from "./root-rotation.ts";
import { formatSelfSignedRoots, parseSelfSignedRoots, type SelfSignedRoots } from "./self-signed-roots.ts";

export interface RootRotatorOptions
  extends Omit<AuthorityStoreOptions, "rootLifetimeMs">,
    Pick<RotationRules, "gracePercent" | "overlapMs" | "leafLifetimeMs" | "isDistributed"> {
  readonly rootLifetimeMs: number;
  /** Time between two looks while nothing is to be done. */
  readonly checkIntervalMs: number;
  /** False where the mesh signs with another certificate (PEM) than the one of the Secret. */
  readonly isInUse: (certificate: string, signal: AbortSignal) => Promise<boolean>;
  /** The Secret was changed; the next look waits for it. */
  readonly onStored: () => Promise<void>;
}

export interface RootRotator {
  start(): void;
  /** Resolves when nothing is asked of the API server any more. */
  stop(): Promise<void>;
}

/** An annotation of the Secret that asks for a rotation now, whatever its value is; it is taken away when it begins. */
export const rotationAnnotation = "meltemi.dev/rotate-root";

const [soonMs, retryMs, longestMs] = [1_000, 30_000, 60_000];

export function createRootRotator(options: RootRotatorOptions): RootRotator {
  let running: { readonly controller: AbortController; readonly end: Promise<void> } | undefined;
  return {
    start() {
      if (running !== undefined) return;
      const controller = new AbortController();
      running = { controller, end: runRotations(options, controller.signal) };
    },
    async stop() {
      const last = running;
      running = undefined;
      last?.controller.abort();
      await last?.end;
    },
  };
}

/** Never rejects. */
async function runRotations(options: RootRotatorOptions, signal: AbortSignal): Promise<void> {
  const log = options.log.child({ component: "ca" });
  let lastProblem = "";
  while (!signal.aborted) {
    let waitMs = retryMs;
    try {
      waitMs = await rotateOnce(options, log, signal);
      lastProblem = "";
    } catch (error: unknown) {
      const problem = error instanceof Error ? error.message : String(error);
      if (!signal.aborted && problem !== lastProblem) log.warn("the root cannot be looked at for rotation", { error });
      lastProblem = problem;
    }
    await pause(options.clock, waitMs, signal);
  }
}

/** One look, and one step at most; gives the milliseconds until the next. */
async function rotateOnce(options: RootRotatorOptions, log: Log, signal: AbortSignal): Promise<number> {
  const found = await findAuthoritySecret(options, signal);
  const { secret } = found;
  const idleMs = Math.min(options.checkIntervalMs, longestMs);
  if (found.kind !== "self-signed" || secret === undefined) return idleMs;
  const roots = parseSelfSignedRoots(secret.texts);
  if (!(await options.isInUse(roots.signing.certificate, signal))) return idleMs;
  const nowMs = options.clock.now();
  const isRequested = secret.annotations.has(rotationAnnotation);
  const step = decideRotation(roots, { ...options, nowMs, isRequested });
  if (step.kind === "wait") return Math.min(Math.max(step.untilMs - nowMs, soonMs), idleMs);
  const isStored =
    step.kind === "stage"
      ? await stage({ found, secret, roots }, options, signal)
      : await store({ found, secret, roots: step.roots }, signal);
  if (!isStored) return soonMs;
  log.info(sayings[step.kind === "stage" ? "staged" : step.what], { secret: found.place.name });
  if (step.kind === "stage")
    log.info("the next root signs after it was distributed", {
      overlapUntil: formatInstant(nowMs + options.overlapMs),
    });
  await Promise.race([options.onStored(), whenAborted(signal)]);
  return soonMs;
}

const whenAborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined);
    signal.addEventListener("abort", resolve, { once: true });
  });

const sayings = {
  staged: "made the next root of the mesh; it is trusted from now on",
  switched: "the next root of the mesh signs from now on; the last one is trusted until nothing of it is left",
  dropped: "a root of the mesh that signed before is no longer trusted",
} as const;

interface Stored {
  readonly found: AuthoritySecret;
  readonly secret: StoredSecret;
  readonly roots: SelfSignedRoots;
}

async function stage(stored: Stored, options: RootRotatorOptions, signal: AbortSignal): Promise<boolean> {
  const { organization, rootLifetimeMs: lifetimeMs, rsaBits, clock } = options;
  const made = await createRootAuthority({
    ...{ organization, lifetimeMs, nowMs: clock.now() },
    ...(rsaBits === undefined ? {} : { rsaBits }),
  });
  return await store({ ...stored, roots: stageRoot(stored.roots, made, clock.now()) }, signal);
}

async function store({ found, secret, roots }: Stored, signal: AbortSignal): Promise<boolean> {
  const texts = formatSelfSignedRoots(roots, isGeneratedIn(found.place));
  const annotations = [...secret.annotations].filter(([name]) => name !== rotationAnnotation);
  return await replaceSecret(found.place, secret, { texts, annotations, signal });
}
