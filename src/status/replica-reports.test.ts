/** Reports over real HTTP, with a clock that the test moves: a server that keeps Leases and refuses what it is told to. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { refuse } from "../../test/support/fake-api-server.ts";
import { TestClock } from "../../test/support/test-clock.ts";
import { createKubeClient } from "../kube/create-kube-client.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import { systemClock } from "../lib/clock.ts";
import { type Log, silentLog } from "../lib/log.ts";
import { pause } from "../lib/pause.ts";
import type { ReplicaReport } from "./distribution-sum.ts";
import { type RawRecord, readRecord, readText } from "./raw.ts";
import { createReplicaReports, type ReplicaReportLimits, type ReplicaReports } from "./replica-reports.ts";

const folder = "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases";

/** Keeps Leases as the API server does, as far as they are asked for here. */
class LeaseServer {
  readonly leases = new Map<string, RawRecord>();
  /** Methods and names of what was asked. */
  readonly asked: string[] = [];
  /** Answers every request so; undefined answers them well. */
  refusal: { readonly status: number; readonly reason: string } | undefined;
  #revision = 0;
  readonly #server: Server = createServer((request, response) => void this.#answer(request, response));

  async up(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return `http://127.0.0.1:${address.port}`;
  }

  async down(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  count(method: string): number {
    return this.asked.filter((line) => line.startsWith(method)).length;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = chunks.length === 0 ? {} : readRecord(JSON.parse(Buffer.concat(chunks).toString("utf8")));
    const url = new URL(request.url ?? "/", "http://fake");
    const name = url.pathname.slice(folder.length + 1);
    this.asked.push(`${request.method} ${name}`);
    if (this.refusal !== undefined) return refuse(response, this.refusal.status, this.refusal.reason, "refused");
    if (request.method === "GET") {
      const [label = "", value] = (url.searchParams.get("labelSelector") ?? "").split("=");
      const items = [...this.leases.values()].filter(
        ({ metadata }) => readRecord(readRecord(metadata)["labels"])[label] === value,
      );
      response.end(JSON.stringify({ items }));
    } else if (request.method === "PATCH") {
      const uid = readText(readRecord(this.leases.get(name)?.["metadata"])["uid"]) || `uid-${this.#revision}`;
      this.#revision += 1;
      const metadata = { ...readRecord(body["metadata"]), uid, resourceVersion: String(this.#revision) };
      this.leases.set(name, { ...body, metadata });
      response.end(JSON.stringify(this.leases.get(name)));
    } else this.#delete(name, readRecord(body["preconditions"]), response);
  }

  #delete(name: string, preconditions: RawRecord, response: ServerResponse): void {
    const { uid, resourceVersion } = readRecord(this.leases.get(name)?.["metadata"]);
    const { uid: wantedUid = uid, resourceVersion: wanted = resourceVersion } = preconditions;
    if (uid === undefined) refuse(response, 404, "NotFound", "not found");
    else if (wantedUid !== uid || wanted !== resourceVersion) refuse(response, 409, "Conflict", "precondition");
    else {
      this.leases.delete(name);
      response.end("{}");
    }
  }
}

interface Replica {
  readonly reports: ReplicaReports;
  readonly clock: TestClock;
  /** Number of proxies that use the one object, all live. */
  proxies: number;
  changes: number;
  readonly warnings: string[];
  lead(isLeader: boolean): void;
  /** Moves time on in small steps, with room for the answers that come between them. */
  pass(ms: number): Promise<void>;
}

let server: LeaseServer;
let client: KubeClient;
let scratch: string;
const started: ReplicaReports[] = [];

beforeEach(async () => {
  server = new LeaseServer();
  const url = await server.up();
  scratch = mkdtempSync(join(tmpdir(), "meltemi-replica-reports-"));
  const kubeconfig = join(scratch, "kubeconfig");
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      "current-context": "fake",
      contexts: [{ name: "fake", context: { cluster: "fake", user: "fake" } }],
      clusters: [{ name: "fake", cluster: { server: url, "insecure-skip-tls-verify": true } }],
      users: [{ name: "fake", user: {} }],
    }),
  );
  client = await createKubeClient({ kubeconfig, clock: systemClock, log: silentLog });
});

afterEach(async () => {
  for (const reports of started.splice(0)) await reports.stop();
  client.close();
  await server.down();
  rmSync(scratch, { recursive: true, force: true });
});

interface Given {
  readonly isLeader?: boolean;
  readonly revision?: string;
  readonly limits?: Partial<ReplicaReportLimits>;
}

function start(podName: string, { isLeader = false, revision = "default", limits = {} }: Given = {}): Replica {
  const clock = new TestClock();
  const listeners: ((isLeader: boolean) => void)[] = [];
  let leads = isLeader;
  const count = (): ReplicaReport => ({
    isPartial: false,
    counts: new Map([
      [
        "Gateway/a/b",
        { uid: "1", generation: 1, using: replica.proxies, live: replica.proxies, refused: 0, refusal: "" },
      ],
    ]),
  });
  const underWay = new Set<Promise<unknown>>();
  const watched: KubeClient = {
    ...{ server: client.server, stream: (request) => client.stream(request), close: () => undefined },
    request(request) {
      const answer = client.request(request);
      underWay.add(answer);
      return answer.finally(() => underWay.delete(answer));
    },
  };
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (text) => void warnings.push(text) };
  const reports = createReplicaReports({
    ...{ client: watched, namespace: "istio-system", podName, revision, clock, log, limits },
    election: { isLeader: () => leads, onChange: (listener) => listeners.push(listener) },
    buildReport: count,
    onChange() {
      replica.changes += 1;
    },
  });
  const replica: Replica = {
    ...{ reports, clock, proxies: 3, changes: 0, warnings },
    lead(isLeader) {
      leads = isLeader;
      for (const listener of listeners) listener(isLeader);
    },
    async pass(ms) {
      await pause(systemClock, 0);
      for (let passed = 0; passed < ms; passed += 250) {
        clock.advance(250);
        // What was asked in this step is answered before the next.
        while (underWay.size > 0) {
          await Promise.allSettled(underWay);
          await pause(systemClock, 0);
        }
      }
    },
  };
  started.push(reports);
  reports.start();
  clock.advance(0);
  return replica;
}

const usingOf = ({ reports }: Replica): readonly (number | undefined)[] =>
  reports.list().map(({ counts }) => counts.get("Gateway/a/b")?.using);
const writes = (): number => server.count("PATCH");

test("a leader knows what the others say, and hears of what changes", async () => {
  const [leader, follower] = [start("one", { isLeader: true }), start("two")];
  await vi.waitFor(() => expect([...server.leases.keys()]).toEqual(["meltemi-proxies-two"]));
  await leader.pass(2500);
  await vi.waitFor(() => expect(usingOf(leader)).toEqual([3]));
  expect(leader.changes).toBe(1);
  follower.proxies = 4;
  follower.reports.notify();
  await follower.pass(2500);
  await vi.waitFor(() => expect(writes()).toBe(2));
  await leader.pass(2500);
  await vi.waitFor(() => expect(usingOf(leader)).toEqual([4]));
  expect(leader.changes).toBe(2);
  // Only a leader adds up.
  expect(usingOf(follower)).toEqual([]);
});

test("counts are written when they differ, at a limited rate, and renewed where they do not", async () => {
  const follower = start("two");
  await vi.waitFor(() => expect(writes()).toBe(1));
  for (let round = 0; round < 16; round++) {
    follower.proxies += 1;
    follower.reports.notify();
    await follower.pass(250);
  }
  await follower.pass(2500);
  // Changes for four seconds, a count each two, and one for the last of them.
  await vi.waitFor(() => expect(writes()).toBeGreaterThanOrEqual(3));
  expect(writes()).toBeLessThanOrEqual(4);
  const before = writes();
  follower.reports.notify();
  await follower.pass(5000);
  expect(writes()).toBe(before);
  await follower.pass(12_000);
  await vi.waitFor(() => expect(writes()).toBeGreaterThan(before));
  expect(writes()).toBeLessThanOrEqual(before + 2);
});

test("a replica that says nothing more is no longer counted after its time, and cleared away later", async () => {
  const leader = start("one", { isLeader: true, limits: { leaseMs: 30_000, keepMs: 20_000 } });
  const follower = start("two", { limits: { leaseMs: 30_000 } });
  await vi.waitFor(() => expect(writes()).toBe(1));
  await leader.pass(28_000);
  await vi.waitFor(() => expect(usingOf(leader)).toEqual([3]));
  await follower.pass(12_000);
  await vi.waitFor(() => expect(writes()).toBeGreaterThan(1));
  await leader.pass(24_000);
  await vi.waitFor(() => expect(usingOf(leader)).toEqual([3]));
  await leader.pass(10_000);
  await vi.waitFor(() => expect(usingOf(leader)).toEqual([]));
  expect(server.leases.size).toBe(1);
  await leader.pass(24_000);
  await vi.waitFor(() => expect(server.leases.size).toBe(0));
});

test("who stops takes its counts along, and writes no more", async () => {
  const follower = start("two");
  await vi.waitFor(() => expect(server.leases.size).toBe(1));
  follower.reports.notify();
  await follower.reports.stop();
  expect(server.leases.size).toBe(0);
  const before = server.asked.length;
  await follower.pass(15_000);
  expect(server.asked.length).toBe(before);
});

test("who begins to lead takes its Lease away, who ceases to writes it again", async () => {
  const replica = start("two");
  await vi.waitFor(() => expect(server.leases.size).toBe(1));
  replica.lead(true);
  await replica.pass(500);
  await vi.waitFor(() => expect(server.leases.size).toBe(0));
  expect(usingOf(replica)).toEqual([]);
  replica.lead(false);
  await replica.pass(500);
  await vi.waitFor(() => expect(server.leases.size).toBe(1));
});

test("replicas of another revision are none of a leader's", async () => {
  const leader = start("one", { isLeader: true });
  start("two", { revision: "next" });
  await vi.waitFor(() => expect(server.leases.size).toBe(1));
  await leader.pass(4000);
  expect(usingOf(leader)).toEqual([]);
});

test.each([403, 404])("a refusal that lasts (%i) is said once and not asked for again for a minute", async (status) => {
  server.refusal = { status, reason: "Forbidden" };
  const [leader, follower] = [start("one", { isLeader: true }), start("two")];
  await vi.waitFor(() => expect([leader.warnings.length, follower.warnings.length]).toEqual([1, 1]));
  await leader.pass(50_000);
  follower.reports.notify();
  await follower.pass(50_000);
  expect([server.count("GET"), writes()]).toEqual([1, 1]);
  await Promise.all([leader.pass(15_000), follower.pass(15_000)]);
  await vi.waitFor(() => expect([server.count("GET"), writes()]).toEqual([2, 2]));
  server.refusal = undefined;
  await Promise.all([leader.pass(65_000), follower.pass(65_000)]);
  await leader.pass(4000);
  await vi.waitFor(() => expect(usingOf(leader)).toEqual([3]));
  expect(leader.warnings).toEqual(["proxies of other replicas are not in the statuses"]);
  expect(follower.warnings).toEqual(leader.warnings);
});

test("a server that fails for a while costs no replica its counts", async () => {
  const [leader, follower] = [start("one", { isLeader: true }), start("two")];
  await vi.waitFor(() => expect(writes()).toBe(1));
  await leader.pass(2500);
  await vi.waitFor(() => expect(usingOf(leader)).toEqual([3]));
  server.refusal = { status: 503, reason: "ServiceUnavailable" };
  await leader.pass(60_000);
  await follower.pass(60_000);
  server.refusal = undefined;
  await leader.pass(12_000);
  expect(usingOf(leader)).toEqual([3]);
  await follower.pass(12_000);
  await leader.pass(20_000);
  expect(usingOf(leader)).toEqual([3]);
  expect(leader.warnings).toEqual(["replicas do not know of each other's proxies for now"]);
});

test("counts that have no room are said to be left out, once", async () => {
  const follower = start("two", { limits: { maxLength: 50 } });
  await vi.waitFor(() => expect(writes()).toBe(1));
  follower.reports.notify();
  await follower.pass(5000);
  expect(follower.warnings).toHaveLength(1);
  const leader = start("one", { isLeader: true });
  await vi.waitFor(() => expect(leader.reports.list()).toEqual([{ isPartial: true, counts: new Map() }]));
});
