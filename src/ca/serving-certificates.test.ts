import { mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TestClock } from "../../test/support/test-clock.ts";
import { systemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { createRootAuthority, issueServingCertificate } from "./authority.ts";
import { createFileAuthorityStore, createMemoryAuthorityStore } from "./authority-files.ts";
import { AuthorityStoreError } from "./authority-store.ts";
import { createServingCertificates, listServiceNames } from "./serving-certificates.ts";

const dayMs = 86_400_000;
const local = { organization: "cluster.local", rootLifetimeMs: 3650 * dayMs, clock: systemClock };

describe("a certificate from the authority", () => {
  const start = async (rootLifetimeMs = 3650 * dayMs) => {
    const clock = new TestClock();
    const authority = await createRootAuthority({
      organization: "cluster.local",
      lifetimeMs: rootLifetimeMs,
      nowMs: 0,
    });
    const source = { kind: "authority", authority, names: ["a.b"], lifetimeMs: 30 * dayMs } as const;
    return { clock, authority, certificates: await createServingCertificates({ source, clock, log: silentLog }) };
  };

  test("is renewed after two thirds of its life, and not before", async () => {
    const { clock, authority, certificates } = await start();
    const first = certificates.current();
    expect(first.roots).toBe(authority.roots);
    const onChange = vi.fn();
    certificates.onChange(onChange);
    clock.advance(19.9 * dayMs);
    expect(certificates.current()).toBe(first);
    clock.advance(0.1 * dayMs);
    await vi.waitFor(() => expect(onChange).toHaveBeenCalledTimes(1));
    // It held from two minutes before its issue, so two thirds are over 40 s before the twentieth day.
    expect(certificates.current().notAfterMs).toBe(50 * dayMs - 40_000);
    expect(certificates.current().chain).not.toBe(first.chain);
    clock.advance(20.1 * dayMs);
    await vi.waitFor(() => expect(onChange).toHaveBeenCalledTimes(2));
    certificates.stop();
  });

  test("stays in use where it cannot be renewed, and listeners and renewal can end", async () => {
    const { clock, certificates } = await start(40 * dayMs);
    const onChange = vi.fn();
    const end = certificates.onChange(onChange);
    clock.advance(21 * dayMs);
    await vi.waitFor(() => expect(onChange).toHaveBeenCalledTimes(1));
    const last = certificates.current();
    expect(last.notAfterMs).toBe(40 * dayMs);
    end();
    clock.advance(20 * dayMs);
    await vi.waitFor(() => expect(certificates.current()).toBe(last));
    certificates.stop();
    expect(onChange).toHaveBeenCalledTimes(1);
  });

  test("lives from a day to ninety days, whatever is asked for", async () => {
    const { authority, clock } = await start();
    for (const [asked, given] of [
      [1, dayMs],
      [1000 * dayMs, 90 * dayMs],
    ] as const) {
      const source = { kind: "authority", authority, names: ["a.b"], lifetimeMs: asked } as const;
      const certificates = await createServingCertificates({ source, clock, log: silentLog });
      expect(certificates.current().notAfterMs).toBe(given);
      certificates.stop();
    }
  });
});

test("names are those of both Services, of the revision's too, each once", () => {
  expect(listServiceNames("mesh", "default", ["127.0.0.1", "istiod.mesh.svc"])).toEqual([
    "meltemi.mesh.svc",
    "istiod.mesh.svc",
    "istiod-remote.mesh.svc",
    "istio-pilot.mesh.svc",
    "127.0.0.1",
  ]);
  expect(listServiceNames("mesh", "canary")).toEqual([
    "meltemi.mesh.svc",
    "istiod.mesh.svc",
    "meltemi-canary.mesh.svc",
    "istiod-canary.mesh.svc",
    "istiod-remote.mesh.svc",
    "istio-pilot.mesh.svc",
  ]);
});

describe("with files", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "meltemi-ca-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const write = async (name: string, text: string): Promise<void> => {
    await writeFile(join(directory, `.${name}`), text);
    await rename(join(directory, `.${name}`), join(directory, name));
  };

  test("a certificate is read anew when both files were replaced, and the old one serves in between", async () => {
    const authority = await createMemoryAuthorityStore(local).load();
    const issue = () =>
      issueServingCertificate(authority, { names: ["a.b"], lifetimeMs: dayMs, nowMs: systemClock.now() });
    const [first, second] = [await issue(), await issue()];
    await write("tls.crt", first.chain);
    await write("tls.key", first.privateKey.reveal());
    await write("ca.crt", authority.roots);
    const files = {
      certFile: join(directory, "tls.crt"),
      keyFile: join(directory, "tls.key"),
      caFile: join(directory, "ca.crt"),
    };
    const log = { ...silentLog, warn: vi.fn(), child: () => log };
    const certificates = await createServingCertificates({ source: { kind: "files", files }, clock: systemClock, log });
    expect(certificates.current().chain).toBe(first.chain);
    await write("tls.crt", second.chain);
    await vi.waitFor(() => expect(log.warn).toHaveBeenCalled(), 5_000);
    expect(certificates.current().chain).toBe(first.chain);
    await write("tls.key", second.privateKey.reveal());
    await vi.waitFor(() => expect(certificates.current().chain).toBe(second.chain), 5_000);
    certificates.stop();
  });

  test("files that do not fit together are refused at the start", async () => {
    const authority = await createMemoryAuthorityStore(local).load();
    await write("tls.crt", authority.certificate);
    await write("tls.key", "nonsense");
    const [certFile, keyFile] = [join(directory, "tls.crt"), join(directory, "tls.key")];
    const source = { kind: "files", files: { certFile, keyFile, caFile: certFile } } as const;
    await expect(createServingCertificates({ source, clock: systemClock, log: silentLog })).rejects.toThrow(
      "no private key",
    );
  });

  test("an authority is made once, for whoever comes first, with a key that only its owner reads", async () => {
    const store = createFileAuthorityStore(join(directory, "ca"), local);
    const loaded = await Promise.all([store.load(), store.load(), store.load()]);
    expect(new Set(loaded.map(({ certificate }) => certificate)).size).toBe(1);
    expect((await stat(join(directory, "ca", "ca-key.pem"))).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(["ca"]);
    expect((await store.load()).certificate).toBe(loaded[0]?.certificate);
  });

  test("a damaged authority is reported and left as it is", async () => {
    const store = createFileAuthorityStore(directory, local);
    await write("ca-cert.pem", "nonsense");
    await expect(store.load()).rejects.toThrow("lacks ca-key.pem");
    await write("ca-key.pem", "nonsense");
    await expect(store.load()).rejects.toThrow(AuthorityStoreError);
    expect((await readdir(directory)).sort()).toEqual(["ca-cert.pem", "ca-key.pem"]);
  });
});
