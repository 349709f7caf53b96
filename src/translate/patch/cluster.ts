/** Patches of clusters (Istio: networking/core/envoyfilter/cluster_patch.go). */
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { parseClusterName } from "../names.ts";
import type { CompiledPatch } from "./compile-filter.ts";
import { isMerge, mergeAny, mergeValue } from "./merge-value.ts";
import type { PatchLedger } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";

/**
 * A cluster with all patches carried out; the same one where nothing changed, undefined where it was removed. `hosts` are
 * the services of an inbound cluster, whose name does not tell them.
 */
export function patchCluster(
  cluster: Cluster,
  { table, hosts }: { readonly table: PatchTable; readonly hosts: readonly string[] },
  ledger: PatchLedger,
): Cluster | undefined {
  let patched = cluster;
  for (const patch of table.of("CLUSTER")) {
    if ((patch.operation !== "REMOVE" && !isMerge(patch)) || !matchesCluster(patched, patch, hosts)) continue;
    if (patch.operation === "REMOVE") {
      ledger.hit(patch);
      return undefined;
    }
    const merged = mergeCluster(patched, patch);
    if (typeof merged === "string") ledger.fail(patch, merged);
    else {
      ledger.hit(patch);
      patched = merged;
    }
  }
  return patched;
}

/** The clusters that patches add. */
export function listAddedClusters(table: PatchTable): readonly CompiledPatch[] {
  return table.of("CLUSTER").filter(({ operation, value }) => operation === "ADD" && value !== undefined);
}

function matchesCluster({ name: own = "" }: Cluster, { match }: CompiledPatch, hosts: readonly string[]): boolean {
  const { name = "", service = "", subset = "", portNumber = 0 } = match.cluster ?? {};
  if (name !== "") return name === own;
  const parsed = parseClusterName(own);
  if (subset !== "" && subset !== parsed?.subset) return false;
  if (portNumber !== 0 && portNumber !== parsed?.port) return false;
  if (service === "") return true;
  return hosts.length > 0 ? hosts.includes(service) : service === parsed?.hostname;
}

/**
 * A patch with a transport socket is about nothing else: it is merged with the socket of its name, and otherwise takes the
 * place of the cluster's own. A cluster that chooses between sockets gets no other.
 */
function mergeCluster(cluster: Cluster, patch: CompiledPatch): Cluster | string {
  const { transport_socket: socket } = (patch.value ?? {}) as Cluster;
  if (socket === undefined) return mergeValue(cluster, patch);
  const matches = cluster.transport_socket_matches ?? [];
  if (matches.length === 0) {
    const ours = cluster.transport_socket;
    if (ours === undefined || ours.name !== socket.name) return { ...cluster, transport_socket: socket };
    const merged = mergeSocket(ours, socket);
    return typeof merged === "string" ? merged : { ...cluster, transport_socket: merged };
  }
  const at = matches.findIndex(({ transport_socket: own }) => own !== undefined && own.name === socket.name);
  const chosen = matches[at];
  if (chosen?.transport_socket === undefined) {
    return `${cluster.name} chooses between transport sockets, and none of them is ${socket.name}`;
  }
  const merged = mergeSocket(chosen.transport_socket, socket);
  if (typeof merged === "string") return merged;
  return { ...cluster, transport_socket_matches: matches.with(at, { ...chosen, transport_socket: merged }) };
}

type TransportSocket = NonNullable<Cluster["transport_socket"]>;

function mergeSocket(ours: TransportSocket, theirs: TransportSocket): TransportSocket | string {
  if (ours.typed_config === undefined || theirs.typed_config === undefined) return ours;
  const merged = mergeAny(ours.typed_config, theirs.typed_config);
  return typeof merged === "string" ? merged : { ...ours, typed_config: merged };
}
