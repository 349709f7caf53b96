/** What a control plane asked of the API server during a fault: whether it listed more than it had to, or ran hot. */
import { expect, vi } from "vitest";
import { groupVersionPath, istioResources, kubeResources, type ResourceNames } from "../../src/api/resource-names.ts";
import type { ProxiedRequest } from "./fault-proxy.ts";
import { type FaultRig, type LogLine, partOf } from "./fault-rig.ts";

const resources: Readonly<Record<string, ResourceNames>> = { ...kubeResources, ...istioResources };
const plurals = Object.values(resources).map(({ plural }) => plural);

/** Generous, because the machine may be busy with other tests; what must be quick is measured for itself. */
export const patient = { timeout: 60_000, interval: 10 };

/** What an API server says that has forgotten the resource version that it was asked for. */
export const expired = {
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message: "too old resource version: 1 (2)",
  reason: "Expired",
  code: 410,
};

/** Path of the list of a kind in all namespaces, such as "/api/v1/services". */
export function pathOfKind(kind: string): string {
  const names = resources[kind];
  if (names === undefined) throw new Error(`${kind} has no path`);
  return `${groupVersionPath(names.group, names.versions[0] ?? "v1")}/${names.plural}`;
}

/** One line of a watch. */
export function eventLine(type: string, object: object): Buffer {
  return Buffer.from(`${JSON.stringify({ type, object })}\n`);
}

/** Requests and log lines from the moment at which it is made. */
export class FaultPeriod {
  readonly #rig: FaultRig;
  readonly #requestsBefore: number;
  readonly #linesBefore: number;

  constructor(rig: FaultRig) {
    this.#rig = rig;
    this.#requestsBefore = rig.proxy.requests.length;
    this.#linesBefore = rig.log.length;
  }

  /** Lists and watches of a kind; not the questions whether a silent watch is deaf. */
  requests(plural: string): readonly ProxiedRequest[] {
    return this.#rig.proxy.requests
      .slice(this.#requestsBefore)
      .filter((request) => request.path.endsWith(`/${plural}`) && !isProbe(request));
  }

  watches(plural: string): readonly ProxiedRequest[] {
    return this.requests(plural).filter(({ isWatch }) => isWatch);
  }

  /** Requests of any sort. */
  get total(): number {
    return this.#rig.proxy.requests.length - this.#requestsBefore;
  }

  get lines(): readonly LogLine[] {
    return this.#rig.log.slice(this.#linesBefore);
  }

  lists(plural: string): number {
    return this.#rig.countLists(plural, this.#requestsBefore);
  }

  /** No kind was listed more often than that. */
  expectLists(most: number): void {
    const listed = Object.fromEntries(plurals.map((plural) => [plural, this.lists(plural)]));
    for (const [plural, lists] of Object.entries(listed)) {
      expect(lists, `lists of ${plural} among ${JSON.stringify(listed)}`).toBeLessThanOrEqual(most);
    }
  }

  /** Nothing ran hot: no kind, and no part of one that is watched on its own, was asked for more often than that. */
  expectRequests(most: number): void {
    for (const plural of plurals) {
      for (const [part, requests = []] of Object.entries(Object.groupBy(this.requests(plural), partOf))) {
        expect(requests.length, `requests for ${part}`).toBeLessThanOrEqual(most);
      }
    }
  }

  /** The watches of all other kinds went on as if nothing had happened. */
  expectUntouched(...concerned: readonly string[]): void {
    for (const plural of plurals) {
      if (concerned.includes(plural)) continue;
      expect(this.requests(plural), `${plural} has nothing to do with it`).toEqual([]);
    }
  }
}

function isProbe({ isWatch, query }: ProxiedRequest): boolean {
  return isWatch ? !query.has("allowWatchBookmarks") : query.get("limit") === "1";
}

/** Ends the watch of a path in good order and waits for the next one, which goes by the proxy's rule of now. */
export async function reopen(rig: FaultRig, path: string): Promise<void> {
  const before = rig.proxy.listWatches().filter((watch) => watch.path === path);
  expect(before.length, `watches of ${path}`).toBeGreaterThan(0);
  rig.proxy.endAnswers(path);
  await vi.waitFor(() => {
    const now = rig.proxy.listWatches().filter((watch) => watch.path === path);
    expect(now.some((watch) => !before.includes(watch))).toBe(true);
  }, patient);
}
