/** What the leader does about the roots of the mesh: it distributes them, and replaces the mesh's own in time. */
import type { Authority } from "../ca/authority.ts";
import type { LiveAuthority } from "../ca/live-authority.ts";
import { createRootRotator, type RootRotator } from "../ca/root-rotator.ts";
import { deriveRootOptions, longestLifeMs } from "./mesh-authority.ts";
import { createRootDistribution, type RootDistributionOptions } from "./root-distribution.ts";
import type { Runner } from "./runners.ts";

/** A part that is told when the mesh has changed. */
type RootWriter = Runner & { notify(): void };

/** Nothing where this control plane certifies nobody and shows no certificate, as in istiod. */
export function createRootWriters(options: RootDistributionOptions): readonly RootWriter[] {
  const { flags } = options;
  if (flags.certProvider === "none" || !flags.caServer) return [];
  const distribution = flags.rootConfigMap === "none" ? undefined : createRootDistribution(options);
  const isDistributed = (root: string): boolean => distribution?.isDistributed(root) ?? true;
  return [
    ...(distribution === undefined ? [] : [distribution]),
    ...(flags.rootCheckInterval === 0 ? [] : [createRotation(options, isDistributed)]),
  ];
}

function createRotation(
  { flags, client, authority, leader, clock, log }: RootDistributionOptions,
  isDistributed: (root: string) => boolean,
): RootWriter {
  const rotator = createRootRotator({
    ...{ ...deriveRootOptions(flags), client, clock, log, isDistributed },
    namespace: flags.namespace,
    organization: flags.domain,
    usesCacerts: flags.usesCacerts,
    checkIntervalMs: flags.rootCheckInterval,
    gracePercent: flags.rootGracePercent,
    overlapMs: flags.rootOverlap,
    leafLifetimeMs: longestLifeMs(flags),
    isInUse: (certificate, signal) => signsWith(authority, certificate, signal),
    onStored: () => authority.refresh(),
  });
  return followLeader(rotator, leader);
}

/** Also true where no authority can be loaded: the root of the Secret may be over, and then somebody has to replace it. */
async function signsWith(authority: LiveAuthority, certificate: string, signal: AbortSignal): Promise<boolean> {
  const current: Authority | undefined = await authority.load(signal).catch(() => undefined);
  signal.throwIfAborted();
  return current === undefined || current.certificate === certificate;
}

function followLeader(rotator: RootRotator, leader: RootDistributionOptions["leader"]): RootWriter {
  let isRunning = false;
  let turn: Promise<void> = Promise.resolve();
  const follow = (): void => {
    turn = turn.then(async () => {
      if (isRunning && leader.isLeader()) rotator.start();
      else await rotator.stop();
    });
  };
  leader.onChange(follow);
  const runner: Runner = {
    name: "rotation of roots",
    async start() {
      isRunning = true;
      follow();
    },
    async stop() {
      isRunning = false;
      follow();
      await turn;
    },
  };
  return { ...runner, notify: () => undefined };
}
