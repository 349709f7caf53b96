/**
 * `make soak`: sidecars under traffic while their certificates are renewed over and over, then while the root of the mesh is
 * replaced. Prints failed requests and streams that had to be opened again; ends with 1 where there was any.
 * MINUTES (10) is the time for certificates, SIDECARS (20) how many there are, LIFETIME (60) seconds of a certificate.
 */
import { formatInstant, systemClock } from "../../src/lib/clock.ts";
import { type Log, silentLog } from "../../src/lib/log.ts";
import { pause } from "../../src/lib/pause.ts";
import { readNumber } from "./read-number.ts";
import { type SidecarMesh, startSidecarMesh } from "./sidecar-mesh.ts";
import { startTraffic, type Traffic } from "./traffic.ts";

const minutes = readNumber("MINUTES", 10);
const sidecars = readNumber("SIDECARS", 20);
/** At most two hundred requests a second with 20 sidecars: the machine is not what is tested. */
const requestPauseMs = 100;
const lifetimeMs = readNumber("LIFETIME", 60) * 1000;

function say(line: string): void {
  console.log(`${formatInstant(systemClock.now()).slice(11, 19)} ${line}`);
}

const warnings = new Map<string, number>();
const count = (text: string): void => void warnings.set(text, (warnings.get(text) ?? 0) + 1);
const log: Log = { ...silentLog, warn: count, error: count, child: () => log };

/** Streams to the control plane beyond the first of each sidecar. */
const countReconnects = (mesh: SidecarMesh): number =>
  mesh.sidecars.reduce((sum, { xds }) => sum + xds.counters().connections - 1, 0);
const countCertificates = (mesh: SidecarMesh): number =>
  mesh.sidecars.reduce((sum, { certificates }) => sum + certificates.size, 0);

function report(mesh: SidecarMesh, traffic: Traffic): void {
  const { requests, failed, clientCertificates } = traffic.result();
  say(
    `${requests} requests, ${failed} failed; ${countReconnects(mesh)} reconnects; ` +
      `${countCertificates(mesh)} certificates issued, ${clientCertificates} seen by applications`,
  );
}

async function soak(mesh: SidecarMesh): Promise<boolean> {
  const traffic = startTraffic(mesh, requestPauseMs);
  const end = systemClock.monotonic() + minutes * 60_000;
  while (systemClock.monotonic() < end) {
    await pauseAlive(Math.min(60_000, end - systemClock.monotonic()));
    report(mesh, traffic);
  }
  say("replacing the root");
  await mesh.rotateRoot();
  report(mesh, traffic);
  say("the last root is gone; a little more with the next one");
  await pauseAlive(Math.min(30_000, lifetimeMs));
  const { failed, failures } = await traffic.stop();
  report(mesh, traffic);
  for (const failure of failures) say(failure);
  for (const [text, times] of warnings) say(`${times} times: ${text}`);
  return failed === 0 && countReconnects(mesh) === 0;
}

/** Timers of the clock do not keep a process alive; the sockets of the mesh do. */
const pauseAlive = (delayMs: number): Promise<void> => pause(systemClock, Math.max(delayMs, 0));

say(`starting a control plane and ${sidecars} sidecars with certificates of ${lifetimeMs / 1000} s`);
const mesh = await startSidecarMesh({ sidecars, lifetimeMs, gracePeriodRatio: 0.5, log });
let isGood = false;
const interrupted = (): void => void mesh.stop().finally(() => process.exit(130));
process.once("SIGINT", interrupted);
process.once("SIGTERM", interrupted);
try {
  say(`${mesh.sidecars.length} sidecars serve; ${minutes} minutes of traffic`);
  isGood = await soak(mesh);
} finally {
  await mesh.stop();
}
say(isGood ? "no failed request, no reconnect" : "there were failed requests or reconnects");
process.exitCode = isGood ? 0 : 1;
