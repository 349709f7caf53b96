import { X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import { issueWorkloadCertificate } from "../../../../src/ca/authority.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { createInspectedLog } from "../../../../test/support/inspected-log.ts";
import { createTestIntermediate, createTestRoot, startTestCa, type TestCa } from "../../../../test/support/test-ca.ts";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { until } from "../../../../test/support/until.ts";
import { createTokenFile } from "./credential-files.ts";
import type { UpstreamOptions } from "./upstream.ts";
import type { AuthoritySource, WorkloadSecrets, WorkloadSecretsOptions } from "./workload-secrets.ts";
import { createWorkloadSecrets } from "./workload-secrets.ts";

const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const hour = 3_600_000;

interface Rig {
  readonly ca: TestCa;
  readonly clock: TestClock;
  readonly secrets: WorkloadSecrets;
  readonly folder: string;
  readonly lines: readonly string[];
  /** Certificates that were put into use, by serial number. */
  readonly changes: string[];
}

interface RigOptions {
  readonly upstream?: Partial<UpstreamOptions>;
  readonly source?: Partial<AuthoritySource>;
  readonly options?: Partial<WorkloadSecretsOptions>;
  /** Names of files in the folder become paths. */
  readonly withRootsFile?: boolean;
}

async function startRig({ upstream, source, options, withRootsFile = false }: RigOptions = {}): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-secrets-"));
  const clock = new TestClock();
  clock.advance(systemClock.now());
  const ca = await startTestCa({ identity, clock });
  writeFileSync(join(folder, "token"), "token-1\n");
  const { log, lines } = createInspectedLog();
  const secrets = createWorkloadSecrets({
    source: {
      kind: "authority",
      upstream: {
        address: ca.address,
        serverName: "localhost",
        roots: () => ca.serverRoots,
        token: createTokenFile(join(folder, "token")),
        clientCertificate: () => undefined,
        clusterId: "Kubernetes",
        headers: { "x-team": "mesh" },
        ...upstream,
      },
      identity,
      key: { kind: "ecdsa", curve: "P-256" },
      isPkcs8: false,
      lifetimeMs: 24 * hour,
      certSigner: "special",
      ...(withRootsFile ? { rootsFile: join(folder, "root-cert.pem") } : {}),
      ...source,
    },
    clock,
    log,
    gracePeriodRatio: 0.5,
    gracePeriodJitter: 0,
    jitter: () => 0.5,
    fileDebounceMs: 100,
    ...options,
  });
  const changes: string[] = [];
  secrets.onChange(() => changes.push(serialOf(secrets.current()?.chain ?? "")));
  onTestFinished(() => {
    secrets.stop();
    ca.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return { ca, clock, secrets, folder, lines, changes };
}

const serialOf = (chain: string): string => new X509Certificate(chain).serialNumber;
const blocks = (pem: string): number => pem.split("-----BEGIN CERTIFICATE-----").length - 1;

test("the first certificate proves the account, and its key is nowhere else", async () => {
  const { ca, secrets, lines, changes } = await startRig();
  expect(secrets.current()).toBeUndefined();
  await secrets.start();
  const current = secrets.current();
  const leaf = new X509Certificate(current?.chain ?? "");
  expect(leaf.subjectAltName).toBe("URI:spiffe://cluster.local/ns/shop/sa/cart");
  expect(current?.notAfterMs).toBe(leaf.validToDate.getTime());
  expect(current?.roots).toBe(ca.authority.roots);
  // The chain does not repeat the root.
  expect(blocks(current?.chain ?? "")).toBe(1);
  expect(changes).toHaveLength(1);
  const { token, clusterId, certSigner, lifetimeMs, headers } = ca.requests[0] ?? {};
  expect([token, clusterId, certSigner, lifetimeMs]).toEqual(["token-1", "Kubernetes", "special", 24 * hour]);
  expect(headers?.["x-team"]).toBe("mesh");
  const said = `${lines.join("\n")}${JSON.stringify(current)}${String(current?.privateKey)}`;
  expect(said).not.toMatch(/PRIVATE KEY|token-1/);
});

test("a certificate is renewed at half of its life, with another key and the token of then", async () => {
  const { ca, clock, secrets, folder, changes } = await startRig();
  await secrets.start();
  const first = secrets.current();
  clock.advance(12 * hour - 5_000);
  expect(ca.requests).toHaveLength(1);
  writeFileSync(join(folder, "token"), "token-2");
  clock.advance(6_000);
  await until("it is renewed", () => changes.length === 2);
  const second = secrets.current();
  expect(second?.privateKey.reveal()).not.toBe(first?.privateKey.reveal());
  expect(second?.notAfterMs ?? 0).toBeGreaterThan((first?.notAfterMs ?? 0) + 11 * hour);
  expect(ca.requests.map(({ token }) => token)).toEqual(["token-1", "token-2"]);
});

test("an authority that ends sooner than asked is asked again in time", async () => {
  const { ca, clock, secrets, changes } = await startRig();
  ca.lifetimeMs = 60_000;
  await secrets.start();
  for (let round = 2; round <= 4; round += 1) {
    clock.advance(31_000);
    await until(`certificate ${round}`, () => changes.length === round);
  }
  expect(ca.requests).toHaveLength(4);
});

test("while the authority refuses, the certificate stays, and requests come ever more slowly", async () => {
  const { ca, clock, secrets, changes, lines } = await startRig();
  await secrets.start();
  const first = secrets.current();
  ca.answer = () => status.UNAVAILABLE;
  clock.advance(12 * hour + 1_000);
  const pauses = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
  const failed = (): readonly string[] => lines.filter((line) => line.includes("no certificate was issued"));
  for (const [index, pauseMs] of pauses.entries()) {
    await until(`failure ${index + 1}`, () => failed().length === index + 1);
    expect(failed().at(-1)).toContain(`delayMs: ${pauseMs}`);
    clock.advance(pauseMs);
  }
  await until("the last failure", () => failed().length === pauses.length + 1);
  expect(ca.requests).toHaveLength(pauses.length + 2);
  expect(secrets.current()).toBe(first);
  expect(changes).toHaveLength(1);
  ca.answer = undefined;
  clock.advance(30_000);
  await until("it is renewed", () => changes.length === 2);
});

test.each<{ name: string; answer: (rig: Rig) => Promise<readonly string[] | number> }>([
  { name: "nothing", answer: async () => [] },
  { name: "no certificate", answer: async () => ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] },
  { name: "somebody else's certificate", answer: async ({ ca }) => issueOther(ca, hour) },
  { name: "a refusal", answer: async () => status.UNAUTHENTICATED },
])("an authority that answers with $name is asked again", async ({ answer }) => {
  const rig = await startRig();
  const result = await answer(rig);
  rig.ca.answer = () => result;
  const started = rig.secrets.start();
  await until("it has failed", () => rig.lines.length === 1);
  expect(rig.lines.join()).not.toContain("token-1");
  expect(rig.secrets.current()).toBeUndefined();
  rig.ca.answer = undefined;
  rig.clock.advance(500);
  await started;
  expect(rig.secrets.current()).toBeDefined();
});

async function issueOther(ca: TestCa, lifetimeMs: number): Promise<readonly string[]> {
  const issued = await issueWorkloadCertificate(ca.authority, { identity, lifetimeMs, nowMs: systemClock.now() });
  return [issued.chain, ca.authority.roots];
}

test("an authority that another root vouches for is not believed, and none without roots", async () => {
  const { roots: foreign } = await createTestRoot();
  let roots = foreign;
  const rig = await startRig({ upstream: { roots: () => roots } });
  const failed = (): number => rig.lines.filter((line) => line.includes("no certificate was issued")).length;
  const started = rig.secrets.start();
  await until("the foreign root does not do", () => failed() === 1);
  roots = "";
  rig.clock.advance(500);
  await until("no root does not do either", () => failed() === 2);
  expect(rig.ca.requests).toHaveLength(0);
  roots = rig.ca.serverRoots;
  rig.clock.advance(1_000);
  await started;
  expect(rig.secrets.current()).toBeDefined();
});

test("CA-14 a token that is none is not shown either", async () => {
  const rig = await startRig();
  writeFileSync(join(rig.folder, "token"), "to\u0000ken-\u00e9\nsecret");
  const started = rig.secrets.start();
  await until("it has failed", () => rig.lines.length === 1);
  expect(rig.lines[0]).toContain("no certificate was issued");
  expect(rig.lines[0]).not.toMatch(/ken-|nsecret/);
  writeFileSync(join(rig.folder, "token"), "token-1");
  rig.clock.advance(500);
  await started;
});

test("CA-24 the roots of the file and of the answer are both believed; the file says which ones leave", async () => {
  const rig = await startRig({ withRootsFile: true });
  const { ca, clock, secrets, folder } = rig;
  const path = join(folder, "root-cert.pem");
  const [first, next] = [ca.authority, await createTestRoot()];
  writeFileSync(path, first.roots);
  await secrets.start();
  expect(secrets.current()?.roots).toBe(first.roots);

  // A root rotation: the file gets both, then the authority signs with the next one, then the first one leaves.
  writeFileSync(path, `${first.roots}${next.roots}`);
  clock.advance(1_100);
  expect(blocks(secrets.current()?.roots ?? "")).toBe(2);
  ca.authority = next;
  clock.advance(12 * hour + 1_000);
  await until("it is renewed", () => rig.changes.length === 3);
  expect(blocks(secrets.current()?.roots ?? "")).toBe(2);
  writeFileSync(path, next.roots);
  clock.advance(1_100);
  expect(secrets.current()?.roots).toBe(next.roots);

  // A file that is gone takes nothing away.
  rmSync(path);
  clock.advance(5_000);
  expect(secrets.current()?.roots).toBe(next.roots);
});

test("CA-24 without a file the earlier root stays as long as certificates of its time are valid", async () => {
  const rig = await startRig();
  const { ca, clock, secrets, changes } = rig;
  await secrets.start();
  ca.authority = await createTestRoot();
  clock.advance(12 * hour + 1_000);
  await until("it is renewed", () => changes.length === 2);
  expect(blocks(secrets.current()?.roots ?? "")).toBe(2);
  clock.advance(12 * hour + 1_000);
  await until("it is renewed again", () => changes.length === 3);
  expect(secrets.current()?.roots).toBe(ca.authority.roots);
});

test("what stands between certificate and root is shown, roots are not, however many", async () => {
  const { ca, clock, secrets, changes } = await startRig();
  await secrets.start();
  const other = await createTestRoot();
  const between = await createTestIntermediate(ca.authority);
  ca.authority = { ...between, roots: `${between.roots}${other.roots}` };
  clock.advance(12 * hour + 1_000);
  await until("it is renewed", () => changes.length === 2);
  const { chain = "", roots = "" } = secrets.current() ?? {};
  expect(blocks(chain)).toBe(2);
  expect(chain.endsWith(between.certificate)).toBe(true);
  expect(blocks(roots)).toBe(2);
  for (const root of [between.roots, other.roots]) expect(roots).toContain(root.trim());
});

test("secrets are written to files that only their owner reads", async () => {
  const output = mkdtempSync(join(tmpdir(), "meltemi-output-"));
  onTestFinished(() => rmSync(output, { recursive: true, force: true }));
  const directory = join(output, "certs");
  const { ca, clock, secrets, changes } = await startRig({ options: { outputDirectory: directory } });
  const read = (name: string): string => readFileSync(join(directory, name), "utf8");
  const check = (): void => {
    expect(readdirSync(directory).sort()).toEqual(["cert-chain.pem", "key.pem", "root-cert.pem"]);
    for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
    expect(read("key.pem")).toBe(secrets.current()?.privateKey.reveal());
    expect(read("cert-chain.pem")).toBe(secrets.current()?.chain);
    expect(read("root-cert.pem")).toBe(ca.authority.roots);
  };
  await secrets.start();
  check();
  clock.advance(12 * hour + 1_000);
  await until("it is renewed", () => changes.length === 2);
  check();
});

test("roots that are written to the file they come from leave it in time", async () => {
  const output = mkdtempSync(join(tmpdir(), "meltemi-output-"));
  onTestFinished(() => rmSync(output, { recursive: true, force: true }));
  const path = join(output, "root-cert.pem");
  const { ca, clock, secrets, changes } = await startRig({
    source: { rootsFile: path },
    options: { outputDirectory: output },
  });
  writeFileSync(path, ca.serverRoots);
  await secrets.start();
  ca.authority = await createTestRoot();
  for (const [round, count] of [
    [2, 2],
    [3, 1],
  ] as const) {
    clock.advance(12 * hour + 1_000);
    await until(`certificate ${round}`, () => changes.length === round);
    expect(blocks(readFileSync(path, "utf8"))).toBe(count);
  }
  expect(readFileSync(path, "utf8")).toBe(ca.authority.roots);
});

test("nothing is asked any more when stopped, before the first certificate and after", async () => {
  const { ca, clock, secrets, lines } = await startRig();
  ca.answer = () => status.UNAVAILABLE;
  const started = secrets.start();
  await until("it has failed", () => lines.length === 1);
  secrets.stop();
  await started;
  expect(secrets.current()).toBeUndefined();
  clock.advance(48 * hour);
  const other = await startRig();
  await other.secrets.start();
  other.secrets.stop();
  other.clock.advance(48 * hour);
  expect([ca.requests.length, other.ca.requests.length]).toEqual([1, 1]);
});
