import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { formatCertificate } from "../lib/certificate.ts";
import { createRootAuthority, issueWorkloadCertificate } from "./authority.ts";
import { decideRotation, stageRoot } from "./root-rotation.ts";
import {
  deriveSelfSignedAuthority,
  formatSelfSignedRoots,
  listTrusted,
  parseSelfSignedRoots,
  type SelfSignedRoots,
} from "./self-signed-roots.ts";
import { listRoots } from "./trust-bundle.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const rules = { gracePercent: 20, overlapMs: 2 * dayMs, leafLifetimeMs: 10 * dayMs, isRequested: false };
const makeRoot = (nowMs: number, lifetimeMs = 100 * dayMs) =>
  createRootAuthority({ organization: "cluster.local", lifetimeMs, nowMs });
const fingerprintsOf = (bundle: string): readonly string[] =>
  listRoots(bundle).map(({ fingerprint256 }) => fingerprint256);

async function begin(lifetimeMs?: number): Promise<SelfSignedRoots> {
  return { signing: await makeRoot(0, lifetimeMs), retired: [], more: "" };
}

/** Whatever was issued and still holds is believed by whoever trusts the bundle of now. */
function expectTrusted(leaves: readonly { readonly chain: string }[], bundle: string): void {
  const trusted = listRoots(bundle);
  for (const { chain } of leaves) {
    const certificate = new X509Certificate(chain);
    expect(trusted.some((root) => certificate.verify(root.publicKey))).toBe(true);
  }
}

/** Through the Secret and back, as after a restart. */
const restart = (roots: SelfSignedRoots): SelfSignedRoots => parseSelfSignedRoots(formatSelfSignedRoots(roots, false));

test("CA-24 a root is distributed before anything is signed below it, and leaves when nothing below it is left", async () => {
  let roots = await begin();
  const steps: string[] = [];
  const distributed = new Map<string, number>();
  const leaves: { readonly chain: string; readonly notAfterMs: number }[] = [];
  const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
  for (let nowMs = 0; nowMs < 200 * dayMs; nowMs += dayMs) {
    // The Secret holds everything that a rotation remembers.
    roots = restart(roots);
    const isDistributed = (certificate: string): boolean =>
      distributed.has(new X509Certificate(certificate).fingerprint256);
    const step = decideRotation(roots, { ...rules, nowMs, isDistributed });
    if (step.kind === "stage") roots = stageRoot(roots, await makeRoot(nowMs), nowMs);
    if (step.kind === "store") roots = step.roots;
    if (step.kind !== "wait") steps.push(step.kind === "store" ? step.what : step.kind);
    const authority = deriveSelfSignedAuthority(roots, nowMs);
    // Never a certificate below a root that was not distributed for the whole overlap; the first root had nobody to tell.
    const sinceMs =
      distributed.get(new X509Certificate(authority.certificate).fingerprint256) ?? (nowMs === 0 ? 0 : nowMs);
    expect(sinceMs === 0 || nowMs - sinceMs >= rules.overlapMs).toBe(true);
    const leaf = await issueWorkloadCertificate(authority, { identity, lifetimeMs: rules.leafLifetimeMs, nowMs });
    leaves.push(leaf);
    expectTrusted(
      leaves.filter(({ notAfterMs }) => notAfterMs > nowMs),
      authority.roots,
    );
    for (const each of fingerprintsOf(authority.roots)) if (!distributed.has(each)) distributed.set(each, nowMs);
  }
  expect(steps.slice(0, 6)).toEqual(["stage", "switched", "dropped", "stage", "switched", "dropped"]);
}, 30_000);

test("CA-24 what has not reached everybody signs nothing, however long it takes", async () => {
  const first = await begin();
  const staged = stageRoot(first, await makeRoot(80 * dayMs), 80 * dayMs);
  const nowMs = 95 * dayMs;
  const waiting = decideRotation(staged, { ...rules, nowMs, isDistributed: () => false });
  expect(waiting.kind).toBe("wait");
  const early = decideRotation(staged, { ...rules, nowMs: 80 * dayMs + hourMs, isDistributed: () => true });
  expect(early).toEqual({ kind: "wait", untilMs: 82 * dayMs });
  const done = decideRotation(staged, { ...rules, nowMs, isDistributed: () => true });
  expect(done).toMatchObject({
    kind: "store",
    what: "switched",
    roots: { signing: { certificate: staged.next?.certificate } },
  });
});

test("a root that is over gives way at once", async () => {
  const first = await begin(dayMs);
  const nowMs = 2 * dayMs;
  expect(() => deriveSelfSignedAuthority(first, nowMs)).toThrow("has expired");
  expect(decideRotation(first, { ...rules, nowMs, isDistributed: () => false })).toEqual({ kind: "stage" });
  const staged = stageRoot(first, await makeRoot(nowMs), nowMs);
  const step = decideRotation(staged, { ...rules, nowMs, isDistributed: () => false });
  if (step.kind !== "store") expect.unreachable();
  expect(step.roots.retired).toEqual([]);
  expect(deriveSelfSignedAuthority(step.roots, nowMs).roots).toBe(staged.next?.certificate);
});

test("a short life leaves half of what is left for the overlap", async () => {
  const staged = stageRoot(await begin(10 * hourMs), await makeRoot(8 * hourMs), 8 * hourMs);
  const step = decideRotation(staged, { ...rules, nowMs: 8 * hourMs, isDistributed: () => true });
  expect(step).toEqual({ kind: "wait", untilMs: 9 * hourMs });
});

test("is not due before the last fifth of the root's life, except where somebody asks for it", async () => {
  const roots = await begin();
  const at = (nowMs: number, isRequested = false) =>
    decideRotation(roots, { ...rules, nowMs, isRequested, isDistributed: () => true }).kind;
  expect([at(79 * dayMs), at(80 * dayMs), at(dayMs, true)]).toEqual(["wait", "stage", "stage"]);
});

test("the Secret has istiod's keys, and no other as long as nothing is rotated", async () => {
  const roots = await begin();
  const names = ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "key.pem", "root-cert.pem"];
  expect([...formatSelfSignedRoots(roots, false).keys()]).toEqual(names);
  expect([...formatSelfSignedRoots(roots, true).keys()]).toEqual([...names, "istio-generated"]);
  expect(listTrusted(restart(roots))).toBe(roots.signing.certificate);
});

test("roots that somebody added stay, and a damaged memory takes none away", async () => {
  const [roots, added] = [await begin(), await makeRoot(0)];
  const staged = stageRoot({ ...roots, more: added.certificate }, await makeRoot(dayMs), dayMs);
  const texts = new Map(formatSelfSignedRoots(staged, false));
  expect(fingerprintsOf(listTrusted(parseSelfSignedRoots(texts)))).toHaveLength(3);
  texts.set("rotation.json", '{"retired":[{"sha256":1},null],"stagedAt":{}}');
  const damaged = parseSelfSignedRoots(texts);
  expect(damaged.next).toBeUndefined();
  expect(new Set(fingerprintsOf(listTrusted(damaged)))).toEqual(new Set(fingerprintsOf(listTrusted(staged))));
  expect(damaged.more).toContain(formatCertificate(new X509Certificate(added.certificate)));
});
