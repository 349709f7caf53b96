import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { type Authority, issueWorkloadCertificate } from "../../../../src/ca/authority.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { createInspectedLog } from "../../../../test/support/inspected-log.ts";
import { createTestRoot } from "../../../../test/support/test-ca.ts";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { createProvisionedCertificate, createTokenFile } from "./credential-files.ts";
import { createWorkloadSecrets, type WorkloadSecrets } from "./workload-secrets.ts";

const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };

interface Pair {
  readonly chain: string;
  readonly key: string;
}

let authority: Authority;
beforeAll(async () => {
  authority = await createTestRoot();
});

async function issue(lifetimeMs = 3_600_000): Promise<Pair> {
  const issued = await issueWorkloadCertificate(authority, { identity, lifetimeMs, nowMs: systemClock.now() });
  return { chain: issued.chain, key: issued.privateKey.reveal() };
}

interface Rig {
  readonly folder: string;
  readonly clock: TestClock;
  readonly secrets: WorkloadSecrets;
  readonly lines: readonly string[];
  readonly changes: () => number;
  write(files: Partial<Record<"cert-chain.pem" | "key.pem" | "root-cert.pem", string>>): void;
}

function startRig(): Rig {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-mounted-"));
  const clock = new TestClock();
  clock.advance(systemClock.now());
  const { log, lines } = createInspectedLog();
  const [certificateFile, keyFile, rootsFile] = ["cert-chain.pem", "key.pem", "root-cert.pem"].map((name) => {
    return join(folder, name);
  }) as [string, string, string];
  const secrets = createWorkloadSecrets({
    source: { kind: "files", certificateFile, keyFile, rootsFile },
    ...{ clock, log, gracePeriodRatio: 0.5, gracePeriodJitter: 0, jitter: () => 0, fileDebounceMs: 100 },
  });
  let changes = 0;
  secrets.onChange(() => (changes += 1));
  onTestFinished(() => {
    secrets.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const write: Rig["write"] = (files) => {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text ?? "");
  };
  return { folder, clock, secrets, lines, changes: () => changes, write };
}

const withRoots = ({ chain, key }: Pair) => ({
  "cert-chain.pem": chain,
  "key.pem": key,
  "root-cert.pem": authority.roots,
});

test("files that are there are used at once", async () => {
  const { secrets, write, lines } = startRig();
  const pair = await issue();
  write(withRoots(pair));
  await secrets.start();
  expect(secrets.current()).toMatchObject({ chain: pair.chain, roots: authority.roots });
  expect(secrets.current()?.privateKey.reveal()).toBe(pair.key);
  expect(lines.join()).not.toContain("PRIVATE KEY");
});

test("files that come one after the other are waited for", async () => {
  const { secrets, clock, write } = startRig();
  const pair = await issue();
  const started = secrets.start();
  write({ "cert-chain.pem": pair.chain });
  clock.advance(2_000);
  write({ "key.pem": pair.key });
  clock.advance(2_000);
  expect(secrets.current()).toBeUndefined();
  write({ "root-cert.pem": authority.roots });
  clock.advance(2_000);
  await started;
  expect(secrets.current()?.chain).toBe(pair.chain);
});

test("CA-23 a pair that does not fit together is ignored until it does", async () => {
  const { secrets, clock, write, changes, lines } = startRig();
  const [first, second] = [await issue(), await issue()];
  write(withRoots(first));
  await secrets.start();
  write({ "cert-chain.pem": second.chain });
  clock.advance(5_000);
  expect(secrets.current()?.chain).toBe(first.chain);
  expect(lines.filter((line) => line.includes("does not match"))).toHaveLength(1);
  write({ "key.pem": second.key });
  clock.advance(1_200);
  expect(secrets.current()?.chain).toBe(second.chain);
  expect(secrets.current()?.privateKey.reveal()).toBe(second.key);
  expect(changes()).toBeGreaterThanOrEqual(2);
});

test.each<{ name: string; chain?: string; key?: string; roots?: string }>([
  { name: "an empty certificate", chain: "" },
  { name: "half a certificate", chain: "-----BEGIN CERTIFICATE-----\nMIIB" },
  { name: "half a key", key: "-----BEGIN PRIVATE KEY-----\nMIGH" },
  { name: "no root", roots: "" },
])("$name leaves what was read before in use", async ({ chain, key, roots }) => {
  const { secrets, clock, write, lines } = startRig();
  const pair = await issue();
  write(withRoots(pair));
  await secrets.start();
  write({
    ...(chain === undefined ? {} : { "cert-chain.pem": chain }),
    ...(key === undefined ? {} : { "key.pem": key }),
    ...(roots === undefined ? {} : { "root-cert.pem": roots }),
  });
  clock.advance(5_000);
  expect(secrets.current()).toMatchObject({ chain: pair.chain, roots: authority.roots });
  expect(secrets.current()?.privateKey.reveal()).toBe(pair.key);
  expect(lines.join("\n")).toContain("cannot be used");
  expect(lines.join("\n")).not.toContain("MIGH");
});

test("CA-23 an expired certificate does not take the place of a good one", async () => {
  const { secrets, clock, write } = startRig();
  const [good, expired] = [await issue(), await issue(-1_000)];
  write(withRoots(good));
  await secrets.start();
  write(withRoots(expired));
  clock.advance(5_000);
  expect(secrets.current()?.chain).toBe(good.chain);
});

test("files that are still being written are left alone until they rest", async () => {
  const { secrets, clock, write } = startRig();
  const [first, second] = [await issue(), await issue()];
  write(withRoots(first));
  await secrets.start();
  write(withRoots(second));
  clock.advance(1_050);
  expect(secrets.current()?.chain).toBe(first.chain);
  clock.advance(100);
  expect(secrets.current()?.chain).toBe(second.chain);
});

test("a volume whose link is swapped is followed", async () => {
  const rig = startRig();
  const [first, second] = [await issue(), await issue()];
  const put = (name: string, pair: Pair): void => {
    mkdirSync(join(rig.folder, name));
    for (const [file, text] of Object.entries(withRoots(pair))) writeFileSync(join(rig.folder, name, file), text);
    symlinkSync(name, join(rig.folder, "..next"));
    renameSync(join(rig.folder, "..next"), join(rig.folder, "..data"));
  };
  put("..1", first);
  for (const file of Object.keys(withRoots(first))) symlinkSync(join("..data", file), join(rig.folder, file));
  await rig.secrets.start();
  expect(rig.secrets.current()?.chain).toBe(first.chain);
  put("..2", second);
  rmSync(join(rig.folder, "..1"), { recursive: true });
  rig.clock.advance(1_200);
  expect(rig.secrets.current()?.chain).toBe(second.chain);
});

test("credentials of the agent are those of now", async () => {
  const { folder, clock, write } = startRig();
  const token = createTokenFile(join(folder, "token"));
  expect(await token()).toBeUndefined();
  writeFileSync(join(folder, "token"), " \n");
  expect(await token()).toBeUndefined();
  writeFileSync(join(folder, "token"), "one\n");
  expect((await token())?.reveal()).toBe("one");
  writeFileSync(join(folder, "token"), "two");
  expect((await token())?.reveal()).toBe("two");

  const { log, lines } = createInspectedLog();
  const own = createProvisionedCertificate({ directory: folder, clock, log });
  expect(own()).toBeUndefined();
  const [good, expired] = [await issue(), await issue(-1_000)];
  write({ "cert-chain.pem": good.chain, "key.pem": good.key });
  expect(own()?.chain).toBe(good.chain);
  expect(own()?.privateKey.reveal()).toBe(good.key);
  write({ "cert-chain.pem": expired.chain, "key.pem": expired.key });
  expect(own()).toBeUndefined();
  expect(lines).toHaveLength(1);
});
