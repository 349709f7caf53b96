/** Who of several replicas writes into the cluster. */
import { randomUUID } from "node:crypto";
import type { Flags } from "../config/flags.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { createLeaderElection, type LeaderElection } from "../status/leader-election.ts";

export interface LeaderOptions {
  readonly flags: Flags;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the parts ask that only a leader may run. */
export interface Leader {
  start(): Promise<void>;
  /** Gives the lead back. */
  stop(): Promise<void>;
  /** Measured anew at each call: ask right before each write. */
  isLeader(): boolean;
  onChange(listener: (isLeader: boolean) => void): void;
}

/** An election over a Lease, one for each revision; without elections this process leads from start() to stop(). */
export function createLeader({ flags, client, clock, log }: LeaderOptions): Leader {
  if (!flags.leaderElection) return createOnlyLeader();
  const election: LeaderElection = createLeaderElection({
    client,
    namespace: flags.namespace,
    name: flags.revision === "" || flags.revision === "default" ? "meltemi-leader" : `meltemi-leader-${flags.revision}`,
    identity: `${flags.podName}_${randomUUID()}`,
    clock,
    random: Math.random,
    log,
  });
  return {
    start: async () => election.start(),
    stop: () => election.stop(),
    isLeader: () => election.isLeader(),
    onChange: (listener) => void election.onChange(listener),
  };
}

function createOnlyLeader(): Leader {
  const listeners: ((isLeader: boolean) => void)[] = [];
  let leads = false;
  const set = (value: boolean): void => {
    leads = value;
    for (const listener of listeners) listener(value);
  };
  return {
    start: async () => set(true),
    stop: async () => set(false),
    isLeader: () => leads,
    onChange: (listener) => void listeners.push(listener),
  };
}
