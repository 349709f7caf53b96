import type { MeshProbe } from "../meshes/mesh.ts";
import { DigestCache } from "../proxies/digest-cache.ts";
import { buildNode } from "../proxies/proxy-group.ts";
import { SimulatedProxy } from "../proxies/simulated-proxy.ts";

const limitMs = 300_000;
const retryMs = 500;

/** Resolves once a server gives a proxy what shows that it has taken a mesh in. Rejects after five minutes. */
export async function awaitMesh(address: string, { group, condition }: MeshProbe): Promise<void> {
  const cache = new DigestCache("sotw");
  const marker = cache.addMarker(condition.type, Buffer.from(condition.marker, "latin1"));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const limit = setTimeout(() => reject(new Error(`${address} has not taken the mesh in`)), limitMs);
  let retry: NodeJS.Timeout | undefined;
  const proxy = new SimulatedProxy({
    ...{ address, variant: "sotw", node: buildNode(group, 0), cache, scope: group.name },
    onReceived: ({ digest }) => {
      if (digest.markers.includes(marker)) resolve();
    },
    // It may not listen yet, or refuse proxies as long as it has nothing for them.
    onEnded: () => {
      retry = setTimeout(() => proxy.open(), retryMs);
    },
  });
  try {
    await promise;
  } finally {
    clearTimeout(limit);
    clearTimeout(retry);
    proxy.close();
  }
}
