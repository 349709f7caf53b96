import { issueServingCertificate } from "../../../src/ca/authority.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { createTestRoot } from "../../support/test-ca.ts";
import type { ServingCertificate } from "./bench-bootstrap.ts";
import { ChildLink } from "./child-link.ts";
import { type Contestant, type ContestantOptions, contestantNames, startContestant } from "./contestants.ts";
import type { LoadLink } from "./load-link.ts";
import type { LoadAnswer, LoadCommand } from "./load-process.ts";
import type { UpstreamPorts } from "./upstream-process.ts";

/** What is in front of the proxies and behind them. */
export interface BenchRig {
  readonly load: LoadLink;
  /** What the proxies are started with. */
  readonly options: ContestantOptions;
  stop(): Promise<void>;
}

export async function startBenchRig(): Promise<BenchRig> {
  const certificate = await createCertificate();
  const upstream = await ChildLink.start<object, UpstreamPorts>("upstream-process.ts");
  const load = await ChildLink.start<LoadCommand, LoadAnswer>("load-process.ts");
  return {
    load: load.link,
    options: { ports: upstream.ready, certificate },
    async stop() {
      await Promise.all([upstream.link.stop(), load.link.stop()]);
    },
  };
}

/** All proxies, new ones, for as long as `use` takes. */
export async function withContestants<Result>(
  { options }: BenchRig,
  use: (contestants: readonly Contestant[]) => Promise<Result>,
): Promise<Result> {
  const contestants: Contestant[] = [];
  try {
    for (const name of contestantNames) contestants.push(await startContestant(name, options));
    return await use(contestants);
  } finally {
    await Promise.all(contestants.map((contestant) => contestant.stop()));
  }
}

async function createCertificate(): Promise<ServingCertificate> {
  const root = await createTestRoot();
  const options = { names: ["localhost"], lifetimeMs: 86_400_000, nowMs: systemClock.now() };
  const { chain, privateKey } = await issueServingCertificate(root, options);
  return { chain, privateKey: privateKey.reveal(), roots: root.roots };
}
