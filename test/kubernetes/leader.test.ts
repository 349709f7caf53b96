/** Leader election between replicas of one process on a real API server: faults 28 and 29 of the fault list. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import type { KubeClient } from "../../src/kube/kube-client.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { createLeaderElection, type LeaderElection } from "../../src/status/leader-election.ts";
import { defaultLeaseLimits, type LeaseLimits } from "../../src/status/lease.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { startFaultProxy } from "./fault-proxy.ts";

let cluster: Cluster;
let direct: KubeClient;
const replicas: Replica[] = [];

/** Tests of what happens, not of how long it takes: everything ten times as fast, as far as whole seconds permit. */
const quick: LeaseLimits = { leaseMs: 2000, renewDeadlineMs: 1200, retryMs: 200 };

interface Replica {
  readonly election: LeaderElection;
  readonly client: KubeClient;
  readonly changes: boolean[];
}

interface ReplicaOptions {
  readonly lease: string;
  readonly identity: string;
  readonly url?: string;
  readonly limits?: LeaseLimits;
  readonly clock?: Clock;
}

async function startReplica({ lease, identity, url, limits = quick, clock = systemClock }: ReplicaOptions) {
  const kubeconfig = url === undefined ? cluster.kubeconfig : cluster.kubeconfigFor(url);
  const client = await createKubeClient({ kubeconfig, clock: systemClock, log: silentLog });
  const namespace = "default";
  const common = { namespace, clock, random: Math.random, log: silentLog, limits };
  const election = createLeaderElection({ client, name: lease, identity, ...common });
  const changes: boolean[] = [];
  election.onChange((isLeader) => void changes.push(isLeader));
  const replica = { election, client, changes };
  replicas.push(replica);
  election.start();
  return replica;
}

/** As a process that is gone: nothing is given back. */
function kill({ client }: Replica): void {
  client.close();
}

const leads =
  ({ election }: Replica, expected = true) =>
  (): void =>
    expect(election.isLeader()).toBe(expected);

beforeAll(async () => {
  cluster = await startCluster();
  direct = await createKubeClient({ kubeconfig: cluster.kubeconfig, clock: systemClock, log: silentLog });
});

afterEach(async () => {
  for (const { election, client } of replicas.splice(0)) {
    await election.stop();
    client.close();
  }
});

afterAll(async () => {
  direct?.close();
  await cluster?.stop();
});

async function readLease(name: string): Promise<Record<string, unknown>> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/default/leases/${name}`;
  return ((await direct.request({ path })) as { readonly spec: Record<string, unknown> }).spec;
}

test("one of two leads; when it dies the other leads within 20 s, with the usual times", async () => {
  const lease = "usual";
  const limits = defaultLeaseLimits;
  const first = await startReplica({ lease, identity: "first", limits });
  await vi.waitFor(leads(first), 5000);
  const second = await startReplica({ lease, identity: "second", limits });
  await vi.waitFor(() => expect(second.election.leader()).toBe("first"), 5000);
  expect(second.election.isLeader()).toBe(false);
  expect(first.election.term()).toBe(0);
  kill(first);
  await vi.waitFor(leads(second), { timeout: 20_000, interval: 50 });
  expect(first.election.isLeader()).toBe(false);
  expect(second.election.term()).toBe(1);
  expect(await readLease(lease)).toMatchObject({
    holderIdentity: "second",
    leaseTransitions: 1,
    leaseDurationSeconds: 15,
  });
}, 60_000);

test("a leader that stops gives the Lease back, and nobody waits for its end", async () => {
  const lease = "graceful";
  const limits = { ...quick, leaseMs: 600_000, renewDeadlineMs: 300_000 };
  const first = await startReplica({ lease, identity: "first", limits });
  await vi.waitFor(leads(first), 5000);
  const second = await startReplica({ lease, identity: "second", limits });
  await vi.waitFor(() => expect(second.election.leader()).toBe("first"), 5000);
  await first.election.stop();
  // Who asks knows at once; who listens is told a moment later.
  await vi.waitFor(() => expect(first.changes).toEqual([true, false]), 5000);
  await vi.waitFor(leads(second), 10_000);
});

test("at no moment do two lead, whoever comes and goes", async () => {
  const lease = "crowd";
  const crowd = await Promise.all(["a", "b", "c"].map((identity) => startReplica({ lease, identity })));
  const leaders = (): number => crowd.filter(({ election }) => election.isLeader()).length;
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, leaders());
  }, 5);
  for (let round = 0; round < 2; round += 1) {
    await vi.waitFor(() => expect(leaders()).toBe(1), { timeout: 15_000, interval: 20 });
    const leader = crowd.find(({ election }) => election.isLeader());
    if (leader === undefined) throw new Error("nobody leads");
    if (round === 0) kill(leader);
    else await leader.election.stop();
    await vi.waitFor(() => expect(leader.election.isLeader()).toBe(false), 10_000);
  }
  await vi.waitFor(() => expect(leaders()).toBe(1), { timeout: 15_000, interval: 20 });
  clearInterval(watch);
  expect(most).toBe(1);
}, 60_000);

test("fault 28: a process that was paused knows that it no longer leads before it does anything", async () => {
  const lease = "paused";
  // The clock of a paused process: time goes by while none of its timers runs.
  let skippedMs = 0;
  let isPaused = false;
  const clock: Clock = {
    now: () => systemClock.now() + skippedMs,
    monotonic: () => systemClock.monotonic() + skippedMs,
    after: (delayMs, run) => systemClock.after(delayMs, () => (isPaused ? undefined : run())),
    every: (periodMs, run) => systemClock.every(periodMs, run),
  };
  const first = await startReplica({ lease, identity: "first", clock });
  await vi.waitFor(leads(first), 5000);
  isPaused = true;
  const second = await startReplica({ lease, identity: "second" });
  await vi.waitFor(leads(second), 15_000);
  skippedMs = 60_000;
  expect(first.election.isLeader()).toBe(false);
  expect(first.election.term()).toBeUndefined();
  expect(await readLease(lease)).toMatchObject({ holderIdentity: "second" });
}, 60_000);

test("a Lease that somebody takes by force is lost at the next renewal", async () => {
  const lease = "stolen";
  const first = await startReplica({ lease, identity: "first" });
  await vi.waitFor(leads(first), 5000);
  const path = `/apis/coordination.k8s.io/v1/namespaces/default/leases/${lease}`;
  const body = { spec: { holderIdentity: "thief", leaseDurationSeconds: 3600 } };
  await direct.request({ method: "PATCH", path, body, contentType: "application/merge-patch+json" });
  await vi.waitFor(leads(first, false), 5000);
  // Who asks knows at once; who listens is told a moment later.
  await vi.waitFor(() => expect(first.changes).toEqual([true, false]), 5000);
  expect(await readLease(lease)).toMatchObject({ holderIdentity: "thief" });
});

test("fault 29: without the API of leases the leader steps down in time, and leads again when it is back", async () => {
  const [certificate, key] = ["apiserver.crt", "apiserver.key"].map((name) =>
    readFileSync(join(cluster.folder, "certs", name)),
  );
  if (certificate === undefined || key === undefined) throw new Error("the cluster has no certificate");
  const proxy = await startFaultProxy({ url: cluster.url, certificate, key });
  onTestFinished(() => proxy.stop());
  const only = await startReplica({ lease: "away", identity: "only", url: proxy.url });
  await vi.waitFor(leads(only), 5000);
  proxy.rule = ({ path }) => (path.includes("/leases") ? { do: "answer", status: 503, body: {} } : undefined);
  await vi.waitFor(leads(only, false), 10_000);
  // Who asks knows at once; who listens is told a moment later.
  await vi.waitFor(() => expect(only.changes).toEqual([true, false]), 5000);
  proxy.rule = ({ path }) => (path.includes("/leases") ? { do: "swallow" } : undefined);
  await vi.waitFor(() => expect(proxy.requests.length).toBeGreaterThan(5), 10_000);
  proxy.rule = undefined;
  await vi.waitFor(leads(only), 10_000);
  // Who asks knows at once; who listens is told a moment later.
  await vi.waitFor(() => expect(only.changes).toEqual([true, false, true]), 5000);
});

test("somebody who deletes the Lease does not end leadership", async () => {
  const lease = "deleted";
  const only = await startReplica({ lease, identity: "only" });
  await vi.waitFor(leads(only), 5000);
  await cluster.kubectl(["delete", "lease", lease]);
  await vi.waitFor(async () => expect(await readLease(lease)).toMatchObject({ holderIdentity: "only" }), 10_000);
  await vi.waitFor(leads(only), 5000);
});
