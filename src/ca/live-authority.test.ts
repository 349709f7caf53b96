import { expect, test, vi } from "vitest";
import { TestClock } from "../../test/support/test-clock.ts";
import { silentLog } from "../lib/log.ts";
import { type Authority, createRootAuthority } from "./authority.ts";
import { createLiveAuthority } from "./live-authority.ts";
import { createServingCertificates } from "./serving-certificates.ts";
import { mergeRoots } from "./trust-bundle.ts";

const dayMs = 86_400_000;
const createRoot = (): Promise<Authority> =>
  createRootAuthority({ organization: "cluster.local", lifetimeMs: 3650 * dayMs, nowMs: 0 });

test("another authority takes over while running, and servers get certificates of it", async () => {
  const clock = new TestClock();
  const [first, second] = [await createRoot(), await createRoot()];
  let stored: Authority | Error = first;
  let loads = 0;
  let wake = (): void => undefined;
  const store = {
    async load() {
      loads += 1;
      if (stored instanceof Error) throw stored;
      return stored;
    },
    watch(run: () => void) {
      wake = run;
      return () => undefined;
    },
  };
  const live = createLiveAuthority({ store, clock, log: silentLog, overlapMs: dayMs, leafLifetimeMs: 90 * dayMs });
  const [one, other] = await Promise.all([live.load(), live.load()]);
  expect([one, other, loads]).toEqual([first, first, 1]);
  const source = { kind: "authority", authority: live, names: ["a.b"] } as const;
  const certificates = await createServingCertificates({ source, clock, log: silentLog });
  const before = certificates.current();
  expect(before.roots).toBe(first.roots);

  stored = new Error("half written");
  clock.advance(60_000);
  await vi.waitFor(() => expect(loads).toBe(2));
  expect(await live.load()).toBe(first);

  // Its root is distributed first, and nothing is signed below it.
  stored = second;
  wake();
  await vi.waitFor(() => expect(certificates.current().roots).toBe(mergeRoots(first.roots, second.roots)));
  expect((await live.load()).certificate).toBe(first.certificate);
  clock.advance(dayMs);
  await vi.waitFor(async () => {
    await live.refresh();
    expect(await live.load()).toMatchObject({
      certificate: second.certificate,
      roots: mergeRoots(second.roots, first.roots),
    });
  });
  await vi.waitFor(() => expect(certificates.current().roots).toBe(mergeRoots(second.roots, first.roots)));
  expect(certificates.current().chain).not.toBe(before.chain);
  clock.advance(90 * dayMs);
  await live.refresh();
  expect((await live.load()).roots).toBe(second.roots);
  certificates.stop();
  live.stop();
});
