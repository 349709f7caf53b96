/** Faults 17 to 20 of the fault list: the machine's clock and disk, and the authority of the mesh. */
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { type Authority, createRootAuthority } from "../../src/ca/authority.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { Cluster } from "../../tools/cluster/cluster.ts";
import { findFreePort } from "../../tools/free-ports.ts";
import { type ChildControlPlane, startChild } from "./child-control-plane.ts";
import { baseObjects, proxyPlaces, sliceOf, virtualServiceOf } from "./fault-mesh.ts";
import { FaultRig, type RigOptions, startFaultCluster } from "./fault-rig.ts";

const patient = { timeout: 60_000, interval: 50 };
const hourMs = 3_600_000;
let cluster: Cluster;
let rig: FaultRig | undefined;
let child: ChildControlPlane | undefined;

beforeAll(async () => {
  cluster = await startFaultCluster();
});
afterEach(async () => {
  await rig?.stop();
  await child?.stop();
  child = undefined;
  await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], baseObjects());
});
afterAll(() => cluster?.stop());

async function startRig(options: RigOptions = {}): Promise<FaultRig> {
  rig = await FaultRig.start(cluster, options);
  return rig;
}

/** A clock whose time of day can be moved, and whose long waits can be short. */
class ShakyClock implements Clock {
  shiftMs = 0;
  readonly #haste: number;

  /** Waits of five seconds and more pass `haste` times as fast. */
  constructor(haste = 1) {
    this.#haste = haste;
  }

  now(): number {
    return systemClock.now() + this.shiftMs;
  }

  monotonic(): number {
    return systemClock.monotonic();
  }

  after(delayMs: number, run: () => void): ReturnType<Clock["after"]> {
    return systemClock.after(this.#shorten(delayMs), run);
  }

  every(periodMs: number, run: () => void): ReturnType<Clock["every"]> {
    return systemClock.every(this.#shorten(periodMs), run);
  }

  #shorten(delayMs: number): number {
    return delayMs >= 5000 ? delayMs / this.#haste : delayMs;
  }
}

/** Serial number of the certificate that the webhook shows. */
function readServedSerial(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

const readLease = async (): Promise<{ holderIdentity: string; leaseTransitions?: number }> =>
  JSON.parse(await cluster.kubectl(["get", "lease", "meltemi-leader", "-n", "istio-system", "-o", "json"])).spec;

test("fault 17: the time of day jumps an hour ahead and back", { timeout: 120_000 }, async () => {
  const clock = new ShakyClock();
  const rig = await startRig({ clock, options: { leaderElection: "true" } });
  await vi.waitFor(async () => expect((await readLease()).holderIdentity).not.toBe(""), patient);
  const { holderIdentity, leaseTransitions } = await readLease();
  const served = await readServedSerial(rig.controlPlane.webhookPort);
  let serial = 2;
  for (const shiftMs of [hourMs, -hourMs, 0]) {
    const jumps = countJumps(rig);
    clock.shiftMs = shiftMs;
    await rig.apply(`${virtualServiceOf(serial)}\n---\n${sliceOf("cart", ["10.1.0.1", `10.1.0.${170 + serial++}`])}`);
    await rig.expectConverged();
    await vi.waitFor(() => expect(countJumps(rig)).toBe(jumps + 1), patient);
  }
  expect(await readServedSerial(rig.controlPlane.webhookPort), "no certificate is renewed for that").toBe(served);
  expect(await readLease()).toMatchObject({ holderIdentity, leaseTransitions });
  expect(rig.log.filter(({ level }) => level === "error")).toEqual([]);
  await rig.expectInvariants(/the time of day has jumped/);
});

const countJumps = (rig: FaultRig): number => rig.log.filter(({ text }) => /time of day has jumped/.test(text)).length;

/** A rig over a control plane that is a process of its own, with proxies that have everything. */
async function startRigOverChild(options: Omit<Parameters<typeof startChild>[0], "kubeconfig">): Promise<FaultRig> {
  const rig = await startRig({ isStarted: false });
  const started = await startChild({ ...options, kubeconfig: cluster.kubeconfigFor(rig.proxy.url) });
  child = started;
  await vi.waitFor(async () => {
    if (started.process.exitCode !== null) throw new Error(`it ended: ${started.lines.join("\n")}`);
    expect(await started.isReady()).toBe(true);
  }, patient);
  for (const place of proxyPlaces) {
    for (const variant of ["sotw", "delta"] as const) rig.connect(variant, place, started.grpcAddress);
  }
  await rig.expectConverged(30_000);
  rig.noteHeap();
  return rig;
}

function runningChild(): ChildControlPlane {
  if (child === undefined) throw new Error("no process was started");
  return child;
}

/** Changes, proxies that come, and all that is said about them, while the disk refuses; the heap stays. */
async function expectServing(rig: FaultRig, cause: RegExp): Promise<void> {
  const running = runningChild();
  const heapBefore = await running.leastHeap();
  for (let serial = 2; serial < 6; serial++) {
    await rig.apply(`${virtualServiceOf(serial)}\n---\n${sliceOf("cart", ["10.1.0.1", `10.1.0.${180 + serial}`])}`);
    await rig.expectConverged();
    for (const proxy of rig.proxies) proxy.reconnect();
    await rig.expectConverged();
  }
  for (const text of running.lines) rig.log.push({ level: "info", text, fields: {} });
  await rig.expectInvariants(cause);
  await vi.waitFor(async () => expect(await running.leastHeap()).toBeLessThan(heapBefore * 1.1), patient);
}

test("fault 18: the disk is full", { timeout: 180_000 }, async () => {
  const full = openSync("/dev/full", "w");
  const rig = await startRigOverChild({ output: full });
  closeSync(full);
  await expectServing(rig, /the log cannot be written.*ENOSPC/);
  expect(await runningChild().stop()).toBe(0);
});

test("fault 18: nobody reads the log any more", { timeout: 180_000 }, async () => {
  const rig = await startRigOverChild({ output: "pipe" });
  runningChild().process.stdout?.destroy();
  await expectServing(rig, /the log cannot be written.*EPIPE/);
  expect(await runningChild().stop()).toBe(0);
});

test("fault 19: nothing may be written to the disk", { timeout: 180_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-read-only-"));
  try {
    // Node itself refuses: unlike modes of files, that holds for root too.
    const nodeArgs = ["--permission", "--allow-fs-read=*"];
    const rig = await startRigOverChild({ output: "pipe", nodeArgs, folder });
    await expectServing(rig, /proxy connected/);
    expect(runningChild().lines.filter((line) => /ERR_ACCESS_DENIED|EROFS|EACCES/.test(line))).toEqual([]);
    expect(await runningChild().stop()).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

async function setAuthority({ certificate, privateKey }: { certificate: string; privateKey: string }): Promise<void> {
  const encode = (text: string): string => Buffer.from(text).toString("base64");
  const data = { "ca-cert.pem": encode(certificate), "ca-key.pem": encode(privateKey) };
  const metadata = { name: "istio-ca-secret", namespace: "istio-system" };
  const secret = { apiVersion: "v1", kind: "Secret", type: "istio.io/ca-root", metadata, data };
  // In one step: a control plane that sees it gone makes one of its own.
  await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], JSON.stringify(secret));
}

const makeAuthority = (fromNowMs: number, lifetimeMs: number): Promise<Authority> =>
  createRootAuthority({ organization: "cluster.local", nowMs: Date.now() + fromNowMs, lifetimeMs });

test("fault 20: the authority of the mesh has expired, is not valid yet, or is garbage", {
  timeout: 180_000,
}, async () => {
  const usable = await startRig();
  const { heapBefore } = usable;
  await usable.stop();
  const authorities = [
    [await makeAuthority(-100 * hourMs, 50 * hourMs), /istio-ca-secret cannot be used: the certificate has expired/],
    [await makeAuthority(50 * hourMs, 50 * hourMs), /istio-ca-secret cannot be used: the certificate is not valid yet/],
    [{ certificate: "garbage", privateKey: { reveal: () => "more of it" } }, /cannot be used: .* holds no certificate/],
  ] as const;
  const set = ([{ certificate, privateKey }]: (typeof authorities)[number]): Promise<void> =>
    setAuthority({ certificate, privateKey: privateKey.reveal() });
  await set(authorities[0]);
  // Whoever has no certificate tries again in half a minute: here in less.
  const webhookPort = await findFreePort();
  const options = { httpsAddr: `127.0.0.1:${webhookPort}` };
  const rig = await startRig({ clock: new ShakyClock(20), options, heapBefore });
  for (const [index, authority] of authorities.entries()) {
    if (index > 0) await set(authority);
    await vi.waitFor(() => expect(rig.findLogged(authority[1])).toBeDefined(), patient);
    await expect(readServedSerial(webhookPort)).rejects.toThrow("ECONNREFUSED");
    await rig.apply(`${virtualServiceOf(20 + index)}\n---\n${sliceOf("cart", ["10.1.0.1", `10.1.0.${200 + index}`])}`);
    await rig.expectConverged();
    expect((await fetch(`http://127.0.0.1:${rig.controlPlane.httpPort}/ready`)).status).toBe(200);
  }
  // As the error says: a person deletes it, and webhooks are served without a restart.
  await rig.expectInvariants(/no certificate, it is tried again.*put a valid authority into it, or delete it/);
  await cluster.kubectl(["delete", "secret", "istio-ca-secret", "-n", "istio-system"]);
  await vi.waitFor(async () => expect(await readServedSerial(webhookPort)).toMatch(/./), patient);
});
