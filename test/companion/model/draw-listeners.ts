/** Listeners at random. Their slots are fixed: each has its port, and serves one kind of connection. */
import { type Draw, drawFault, drawHeaderRule } from "./draw.ts";
import { drawTable, drawWeights } from "./draw-routes.ts";
import type { ChainSpec, HttpChain, ListenerSpec, TcpChain } from "./world.ts";

export const plainSlots = ["plain-0", "plain-1", "plain-2"] as const;
export const tlsSlots = ["tls-0", "tls-1"] as const;
export const tcpSlots = ["tcp-slot-0", "tcp-slot-1"] as const;
export const allSlots: readonly string[] = [...plainSlots, ...tlsSlots, ...tcpSlots];
export const tableNames = ["table-0", "table-1", "table-2", "table-3"] as const;
export const secretNames = ["secret-0", "secret-1", "secret-2"] as const;
/** The name that one of the two chains of a TLS listener is for. */
export const chainName = "one.test";

const mebibyte = 1 << 20;

/** Names of what listeners may send to. */
export interface ClusterNames {
  readonly http: readonly string[];
  readonly tcp: readonly string[];
}

export function drawListener(draw: Draw, slot: string, names: ClusterNames): ListenerSpec {
  return { slot, bufferLimit: mebibyte, chains: drawChains(draw, slot, names) };
}

function drawChains(draw: Draw, slot: string, { http, tcp }: ClusterNames): readonly ChainSpec[] {
  const { random } = draw;
  if (slot.startsWith("tcp")) return [drawTcp(draw, tcp)];
  if (slot.startsWith("plain")) return [drawHttp(draw, http, {})];
  const named = { sni: chainName, secret: random.pick(secretNames) };
  return [drawHttp(draw, http, named), drawHttp(draw, http, { secret: random.pick(secretNames) })];
}

function drawTcp(draw: Draw, clusters: readonly string[]): TcpChain {
  const { random } = draw;
  const label = draw.fresh("tcp-chain");
  if (random.chance(50)) return { kind: "tcp", label, target: { kind: "cluster", cluster: random.pick(clusters) } };
  // Unlike those of routes, weights of connections are at least 1.
  const parts = drawWeights(draw, clusters).parts.map(({ cluster, weight }) => ({
    cluster,
    weight: Math.max(1, weight),
  }));
  return { kind: "tcp", label, target: { kind: "weighted", parts } };
}

function drawHttp(
  draw: Draw,
  clusters: readonly string[],
  { sni, secret }: { readonly sni?: string; readonly secret?: string },
): HttpChain {
  const { random } = draw;
  const serverName = draw.fresh("server");
  const orders = [["rbac", "fault"], ["rbac", "fault"], ["fault", "rbac"], ["rbac"], ["fault"], []] as const;
  return {
    kind: "http",
    ...{ sni, secret, serverName },
    filters: random.pick(orders),
    denies: random.chance(15) ? drawHeaderRule(draw) : undefined,
    fault: random.chance(8) ? drawFault(draw) : undefined,
    routes: random.chance(75)
      ? { kind: "rds", table: random.pick(tableNames) }
      : { kind: "inline", table: drawTable(draw, serverName, clusters) },
  };
}

/** Another chain in the place of one, or the listener itself changed, and all of its chains with it. */
export function changeListener(draw: Draw, listener: ListenerSpec, names: ClusterNames): ListenerSpec {
  const { random } = draw;
  const { slot, chains, bufferLimit } = listener;
  if (random.chance(25)) {
    const other = bufferLimit === mebibyte ? 2 * mebibyte : mebibyte;
    return { slot, bufferLimit: other, chains: chains.map((chain) => ({ ...chain })) };
  }
  const index = random.below(chains.length);
  const drawn = drawChains(draw, slot, names);
  return {
    ...listener,
    chains: chains.map((chain, position) => (position === index ? (drawn[index] ?? chain) : chain)),
  };
}
