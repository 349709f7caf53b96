/** What must be so after anything that was done to a proxy: it runs, and nothing is under way in it any more. */
import { eventually } from "../envoy/envoy-process.ts";
import type { StaticPlane } from "./static-plane.ts";

/** Of requests, connections of clients and streams; connections to upstreams are kept for the next request. */
const busy =
  /^http\.(?!admin\.).*_active$|^listener\.(?!admin\.).*downstream_cx_active$|_rq_active$|_rq_pending_active$/;

/** Waits until all gauges say that nothing is under way. Rejects with their values, or the log of a proxy that ended. */
export async function expectIdle(proxy: StaticPlane): Promise<void> {
  await eventually(`${proxy.plane} has nothing under way`, async () => {
    if (!proxy.isRunning()) throw new Error(`it ended:\n${proxy.log()}`);
    const gauges = [...(await proxy.stats("_active$"))].filter(([name, value]) => busy.test(name) && value !== 0);
    // Envoy counts the question itself.
    const left = gauges.filter(([name]) => !name.includes(".admin."));
    if (left.length > 0) throw new Error(left.map(([name, value]) => `${name}: ${value}`).join(", "));
    return true;
  });
}
