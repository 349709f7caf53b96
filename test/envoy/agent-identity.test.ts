/** Sidecars with real Envoys that have everything from their agent's sockets, while certificates, root and control plane change. */
import { X509Certificate } from "node:crypto";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Sidecar, type SidecarMesh, startSidecarMesh } from "../../tools/soak/sidecar-mesh.ts";
import { startTraffic } from "../../tools/soak/traffic.ts";
import { createInspectedLog } from "../support/inspected-log.ts";
import { eventually } from "./envoy-process.ts";
import { ask } from "./upstreams.ts";

let mesh: SidecarMesh;
const { log, lines } = createInspectedLog();
beforeAll(async () => {
  // Twenty seconds, of which eighteen are left when the next one is asked for: one every two seconds.
  mesh = await startSidecarMesh({ sidecars: 2, lifetimeMs: 20_000, gracePeriodRatio: 0.9, log });
});
afterAll(async () => {
  await mesh?.stop();
});

const pair = (): readonly [Sidecar, Sidecar] => {
  const [first, second] = mesh.sidecars;
  if (first === undefined || second === undefined) throw new Error("no sidecars");
  return [first, second];
};
const connections = (): readonly number[] => mesh.sidecars.map(({ xds }) => xds.counters().connections);
const has = (what: string, isSo: () => boolean): Promise<void> => eventually(what, async () => isSo());

/** What Envoy shows of its own certificates. */
async function shownSerial({ envoy }: Sidecar): Promise<string> {
  const page = JSON.parse(await envoy.admin("certs")) as {
    readonly certificates: readonly { readonly cert_chain: readonly { readonly serial_number: string }[] }[];
  };
  return page.certificates[0]?.cert_chain[0]?.serial_number ?? "";
}

const serialOf = ({ secrets }: Sidecar): string =>
  new X509Certificate(secrets.current()?.chain ?? "").serialNumber.toLowerCase();

test("requests between sidecars are mutual TLS, by the service accounts", async () => {
  const [first, second] = pair();
  const host = mesh.hostOf(second);
  const { status, seen } = await ask({ port: first.proxyPort, path: `http://${host}/`, host });
  expect(status).toBe(200);
  expect(seen?.upstream).toBe(second.name);
  const shown = String(seen?.headers["x-forwarded-client-cert"]);
  expect(shown).toContain(`By=spiffe://cluster.local/ns/shop/sa/${second.name}`);
  expect(shown).toContain(`URI=spiffe://cluster.local/ns/shop/sa/${first.name}`);
});

test("whoever comes without a certificate is not served", async () => {
  const [, { address, inboundPort, application }] = pair();
  const before = application.seen.length;
  const got = await new Promise<string>((resolve) => {
    const socket = connect(inboundPort, address, () => socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
  });
  expect(got).not.toContain("HTTP/1.1 200");
  expect(application.seen).toHaveLength(before);
});

test("certificates are renewed under traffic without a failed request or another stream", async () => {
  const traffic = startTraffic(mesh, 5);
  const begun = mesh.sidecars.map(({ certificates }) => certificates.size);
  await has("each sidecar has three more", () =>
    mesh.sidecars.every(({ certificates }, index) => certificates.size >= (begun[index] ?? 0) + 3),
  );
  await eventually("Envoy shows the newest", async () => {
    const shown = await Promise.all(mesh.sidecars.map(shownSerial));
    return shown.every((serial, index) => serial === serialOf(mesh.sidecars[index] as Sidecar));
  });
  const seenBefore = traffic.result().requests;
  await has("requests go on", () => traffic.result().requests > seenBefore + 50);
  const { failures, clientCertificates } = await traffic.stop();
  expect(failures).toEqual([]);
  expect(clientCertificates).toBeGreaterThan(2);
  expect(connections()).toEqual([1, 1]);
  for (const { envoy } of mesh.sidecars) expect(await envoy.stat("sds.default.update_rejected")).toBe(0);
});

test("a control plane that restarts is missed by no request, and found again", async () => {
  const traffic = startTraffic(mesh, 5);
  await mesh.restartControlPlane(async () => {
    await has("the sidecars notice", () => mesh.sidecars.every(({ xds }) => !xds.isConnected()));
    const served = traffic.result().requests;
    await has("requests go on", () => traffic.result().requests > served + 50);
  });
  await has("the sidecars are back", () => mesh.sidecars.every(({ xds }) => xds.isConnected()));
  const begun = mesh.sidecars.map(({ certificates }) => certificates.size);
  await has("certificates are renewed again", () =>
    mesh.sidecars.every(({ certificates }, index) => certificates.size > (begun[index] ?? 0)),
  );
  expect((await traffic.stop()).failures).toEqual([]);
});

test("the root is replaced under traffic without a failed request or another stream", async () => {
  const traffic = startTraffic(mesh, 5);
  const before = connections();
  const roots = mesh.sidecars.map(({ secrets }) => secrets.current()?.roots);
  await mesh.rotateRoot();
  const served = traffic.result().requests;
  await has("requests go on", () => traffic.result().requests > served + 50);
  expect((await traffic.stop()).failures).toEqual([]);
  expect(connections()).toEqual(before);
  for (const [index, { secrets }] of mesh.sidecars.entries()) {
    const { chain, roots: now } = secrets.current() ?? { chain: "", roots: "" };
    expect(now).not.toBe(roots[index]);
    expect(new X509Certificate(chain).verify(new X509Certificate(now).publicKey)).toBe(true);
  }
});

test("no key was ever in a log", () => {
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.join("\n")).not.toContain("PRIVATE KEY");
});
