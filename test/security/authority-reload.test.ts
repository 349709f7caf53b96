/** An authority that somebody replaces, renews or cuts off while the control plane runs. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { expect, onTestFinished, test, vi } from "vitest";
import {
  type Authority,
  createRootAuthority,
  issueWorkloadCertificate,
  parseAuthority,
} from "../../src/ca/authority.ts";
import {
  type AuthorityState,
  advanceAuthority,
  beginAuthority,
  deriveAuthority,
} from "../../src/ca/authority-change.ts";
import { createFileAuthorityStore, readAuthority } from "../../src/ca/authority-files.ts";
import { watchDirectories } from "../../src/ca/directory-watch.ts";
import { createLiveAuthority, type LiveAuthority } from "../../src/ca/live-authority.ts";
import { mergeRoots } from "../../src/ca/trust-bundle.ts";
import { loadX509 } from "../../src/ca/x509-library.ts";
import { dateOf, systemClock } from "../../src/lib/clock.ts";
import { createKeptLog, gatewayNode, startSecureMesh } from "../support/secure-mesh.ts";
import { typeUrls } from "../support/xds-client-rig.ts";

const dayMs = 86_400_000;
const patient = { timeout: 20_000, interval: 20 };
const unauthenticated = 16;

const makeRoot = (nowMs = systemClock.now(), lifetimeMs = 30 * dayMs): Promise<Authority> =>
  createRootAuthority({ organization: "cluster.local", lifetimeMs, nowMs });

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-authority-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** As the kubelet mounts a Secret: names are links through ..data, which is swapped in one step. */
function mount(folder: string, version: string, { certificate, privateKey, roots }: Authority): void {
  const place = join(folder, `..${version}`);
  mkdirSync(place);
  const texts = { "ca-cert.pem": certificate, "ca-key.pem": privateKey.reveal(), "root-cert.pem": roots };
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(place, name), text);
  symlinkSync(`..${version}`, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
  if (version !== "one") return;
  for (const name of Object.keys(texts)) symlinkSync(join("..data", name), join(folder, name));
}

function follow(folder: string): { readonly live: LiveAuthority; readonly lines: readonly string[] } {
  const { log, lines } = createKeptLog();
  const store = {
    async load() {
      const found = await readAuthority(folder, systemClock.now());
      if (found === undefined) throw new Error("nothing is there");
      return found;
    },
    watch: (run: () => void) => watchDirectories([folder], { clock: systemClock, log, onSettled: run }),
  };
  // Only the watch can bring news in the time of this test.
  const live = createLiveAuthority({ store, clock: systemClock, log, periodMs: dayMs, overlapMs: dayMs });
  onTestFinished(() => live.stop());
  return { live, lines };
}

test("CA-23 a mounted Secret that is swapped is read at once, and its root is trusted before it signs", async () => {
  const folder = makeFolder();
  const [first, second] = [await makeRoot(), await makeRoot()];
  mount(folder, "one", first);
  const { live } = follow(folder);
  await live.load();
  mount(folder, "two", second);
  await vi.waitFor(async () => expect((await live.load()).roots).toBe(mergeRoots(first.roots, second.roots)), patient);
  expect((await live.load()).certificate).toBe(first.certificate);
});

test("CA-23 half of a pair changes nothing until the other half is there", async () => {
  const folder = makeFolder();
  const first = await makeRoot();
  const second = { ...(await makeRoot()), roots: "" };
  const both = mergeRoots(first.roots, second.certificate);
  for (const [name, text] of [
    ["ca-cert.pem", first.certificate],
    ["ca-key.pem", first.privateKey.reveal()],
    ["root-cert.pem", both],
  ] as const)
    writeFileSync(join(folder, name), text);
  const { live, lines } = follow(folder);
  await live.load();
  writeFileSync(join(folder, "ca-cert.pem"), second.certificate);
  await vi.waitFor(() => expect(lines.join("\n")).toContain("cannot be read again; the last one stays"), patient);
  expect((await live.load()).certificate).toBe(first.certificate);
  writeFileSync(join(folder, "ca-key.new"), second.privateKey.reveal());
  renameSync(join(folder, "ca-key.new"), join(folder, "ca-key.pem"));
  await vi.waitFor(async () => expect((await live.load()).certificate).toBe(second.certificate), patient);
});

test.each([
  [["ca-cert.pem"], "lacks ca-key.pem, root-cert.pem"],
  [["root-cert.pem"], "lacks ca-cert.pem, ca-key.pem"],
  [["ca-cert.pem", "ca-key.pem"], "lacks root-cert.pem"],
  [["tls.key"], "lacks tls.crt, ca.crt"],
])("CA-23 an incomplete bundle (%s) is an error that says what is missing", async (names, text) => {
  const folder = makeFolder();
  for (const name of names) writeFileSync(join(folder, name), "something");
  await expect(readAuthority(folder, systemClock.now())).rejects.toThrow(text);
});

test("CA-24 another authority signs only when its root was trusted for the whole overlap", async () => {
  const [first, second] = [await makeRoot(0), await makeRoot(0)];
  const rules = { overlapMs: dayMs, leafLifetimeMs: 2 * dayMs };
  const at = (state: AuthorityState, nowMs: number): AuthorityState =>
    advanceAuthority(state, second, { ...rules, nowMs });
  const begun = beginAuthority(first);
  const staged = at(begun, 1000);
  expect(deriveAuthority(staged)).toMatchObject({
    certificate: first.certificate,
    roots: mergeRoots(first.roots, second.roots),
  });
  const early = at(staged, 999 + dayMs);
  expect(deriveAuthority(early).certificate).toBe(first.certificate);
  const taken = at(early, 1000 + dayMs);
  expect(deriveAuthority(taken)).toMatchObject({
    certificate: second.certificate,
    roots: mergeRoots(second.roots, first.roots),
  });
  expect(deriveAuthority(at(taken, 1000 + 3 * dayMs)).roots).toBe(second.roots);
});

test("CA-25 of several roots those that are over are left out", async () => {
  const nowMs = systemClock.now();
  const [own, over] = [await makeRoot(nowMs), await makeRoot(nowMs - 10 * dayMs, dayMs)];
  const third = await makeRoot(nowMs);
  const texts = { ...own, privateKey: own.privateKey.reveal(), roots: mergeRoots(over.roots, own.roots, third.roots) };
  expect(parseAuthority(texts, nowMs).roots).toBe(mergeRoots(own.roots, third.roots));
});

test("CA-22 files with keys are for their owner alone, and no key is in a print or an error", async () => {
  const folder = makeFolder();
  const options = { organization: "cluster.local", rootLifetimeMs: dayMs, clock: systemClock };
  const authority = await createFileAuthorityStore(join(folder, "ca"), options).load();
  expect(statSync(join(folder, "ca", "ca-key.pem")).mode & 0o777).toBe(0o600);
  const body = authority.privateKey.reveal().split("\n")[1] ?? "";
  expect(body.length).toBeGreaterThan(20);
  expect(inspect(authority, { depth: 9, showHidden: true }) + JSON.stringify(authority)).not.toContain(body);
  writeFileSync(join(folder, "ca", "ca-cert.pem"), (await makeRoot()).certificate);
  const error: unknown = await readAuthority(join(folder, "ca"), systemClock.now()).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(Error);
  expect(inspect(error, { depth: 9 })).not.toContain(body);
});

test("a client certificate that is revoked while we run is refused on its next connection", async () => {
  const mesh = await startSecureMesh("");
  const [revoked, other] = [await mesh.certify("shop/gateway"), await mesh.certify("shop/gateway")];
  const statusOf = async (certificate: typeof revoked): Promise<number> => {
    const stream = mesh.connect({ certificate }).open("sotw");
    stream.send({ node: gatewayNode("shop", "gateway"), type_url: typeUrls.cds });
    return await Promise.race([stream.ended.then(({ code }) => code), stream.next().then(() => 0)]);
  };
  expect(await statusOf(revoked)).toBe(0);
  const authority = await readAuthority(mesh.authorityDirectory, systemClock.now());
  if (authority === undefined) expect.unreachable();
  writeFileSync(join(mesh.authorityDirectory, "ca-crl.pem"), await makeCrl(authority, revoked.chain));
  await vi.waitFor(async () => expect(await statusOf(revoked)).toBe(unauthenticated), patient);
  expect(await statusOf(other)).toBe(0);
});

async function makeCrl(authority: Authority, revoked: string): Promise<string> {
  const x509 = await loadX509();
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const nowMs = systemClock.now();
  const crl = await x509.X509CrlGenerator.create({
    issuer: new x509.X509Certificate(authority.certificate).subject,
    thisUpdate: dateOf(nowMs - 60_000),
    nextUpdate: dateOf(nowMs + dayMs),
    signingAlgorithm: algorithm,
    signingKey: createPrivateKey(authority.privateKey.reveal()).toCryptoKey(algorithm, false, ["sign"]),
    entries: [{ serialNumber: new X509Certificate(revoked).serialNumber, revocationDate: dateOf(nowMs - 60_000) }],
  });
  const lines =
    Buffer.from(crl.rawData)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return ["-----BEGIN X509 CRL-----", ...lines, "-----END X509 CRL-----", ""].join("\n");
}

test("a revocation list that cannot be read is refused, and so is one of another form", async () => {
  const authority = await makeRoot();
  const texts = { ...authority, privateKey: authority.privateKey.reveal() };
  const damaged = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  expect(() => parseAuthority({ ...texts, crl: damaged }, systemClock.now())).toThrow("CRL that cannot be read");
  expect(() => parseAuthority({ ...texts, crl: "no" }, systemClock.now())).toThrow("holds no CRL");
  const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
  const leaf = await issueWorkloadCertificate(authority, { identity, lifetimeMs: dayMs, nowMs: systemClock.now() });
  const crl = await makeCrl(authority, leaf.chain);
  expect(parseAuthority({ ...texts, crl }, systemClock.now()).crl).toBe(crl);
});
