/** Requests from every sidecar to the next one, one after the other, until told to stop. */
import { systemClock } from "../../src/lib/clock.ts";
import { pause } from "../../src/lib/pause.ts";
import { ask } from "../../test/envoy/upstreams.ts";
import type { Sidecar, SidecarMesh } from "./sidecar-mesh.ts";

export interface TrafficResult {
  readonly requests: number;
  /** What went wrong, as text; the first hundred. */
  readonly failures: readonly string[];
  readonly failed: number;
  /** Client certificates that applications saw, by the hash that their sidecar reports. */
  readonly clientCertificates: number;
}

export interface Traffic {
  result(): TrafficResult;
  /** Resolves when the last answer is there. */
  stop(): Promise<TrafficResult>;
}

const kept = 100;

/** `pauseMs` lies between an answer and the next request. Each request is a connection to the sidecar of its own; between sidecars connections stay as Envoy keeps them. */
export function startTraffic(mesh: SidecarMesh, pauseMs: number): Traffic {
  const { sidecars } = mesh;
  const failures: string[] = [];
  const hashes = new Set<string>();
  let [requests, failed, isOver] = [0, 0, false];
  const fail = (from: Sidecar, what: string): void => {
    failed += 1;
    if (failures.length < kept) failures.push(`${from.name}: ${what}`);
  };
  const run = async (from: Sidecar, to: Sidecar): Promise<void> => {
    const host = mesh.hostOf(to);
    while (!isOver) {
      await pause(systemClock, pauseMs);
      requests += 1;
      try {
        const { status, seen, body } = await ask({ port: from.proxyPort, path: `http://${host}/`, host });
        const shown = String(seen?.headers["x-forwarded-client-cert"] ?? "");
        const [, hash] = /Hash=([0-9a-f]+)/.exec(shown) ?? [];
        if (hash !== undefined) hashes.add(hash);
        if (status !== 200) fail(from, `${status} ${body.slice(0, 200)}`);
        else if (seen?.upstream !== to.name) fail(from, `answered by ${seen?.upstream}`);
        else if (!shown.includes(`/sa/${from.name}`)) fail(from, `came without its identity: ${shown}`);
      } catch (cause: unknown) {
        fail(from, String(cause));
      }
    }
  };
  const runs = sidecars.map((from, index) => run(from, sidecars[(index + 1) % sidecars.length] ?? from));
  const result = (): TrafficResult => ({ requests, failures, failed, clientCertificates: hashes.size });
  return {
    result,
    async stop() {
      isOver = true;
      await Promise.all(runs);
      return result();
    },
  };
}
