import { expect, test, vi } from "vitest";
import { TestClock } from "../../test/support/test-clock.ts";
import { silentLog } from "../lib/log.ts";
import { type Authority, createRootAuthority } from "./authority.ts";
import { createLiveAuthority } from "./live-authority.ts";
import { createServingCertificates } from "./serving-certificates.ts";

const createRoot = (): Promise<Authority> =>
  createRootAuthority({ organization: "cluster.local", lifetimeMs: 3650 * 86_400_000, nowMs: 0 });

test("another authority takes over while running, and servers get certificates of it", async () => {
  const clock = new TestClock();
  const [first, second] = [await createRoot(), await createRoot()];
  let stored: Authority | Error = first;
  let loads = 0;
  const store = {
    async load() {
      loads += 1;
      if (stored instanceof Error) throw stored;
      return stored;
    },
  };
  const live = createLiveAuthority({ store, clock, log: silentLog });
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

  stored = second;
  await vi.waitFor(() => {
    clock.advance(60_000);
    expect(certificates.current().roots).toBe(second.roots);
  });
  expect(certificates.current().chain).not.toBe(before.chain);
  certificates.stop();
  live.stop();
});
