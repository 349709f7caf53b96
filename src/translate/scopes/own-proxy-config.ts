/**
 * Settings that a proxy brings along in its metadata, in the place of the mesh's `defaultConfig` (Istio: pkg/model/proxy.go
 * ProxyConfigOrDefault). Only what translation reads is told apart: proxies that differ in the rest share a scope.
 */
import type { MeshConfig, ProxyConfig } from "../../api/mesh-config/schema.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import type { Proxy as MeshProxy } from "../../model/proxy.ts";
import { isDeepEqual } from "../../snapshot/is-deep-equal.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { canonicalText } from "./canonical-text.ts";

/** What translation reads of a ProxyConfig. */
export type TranslatedProxyConfig = Pick<
  ProxyConfig,
  "tracing" | "proxyHeaders" | "gatewayTopology" | "connectionSettings"
>;

const pick = ({ tracing, proxyHeaders, gatewayTopology, connectionSettings }: ProxyConfig): TranslatedProxyConfig => ({
  ...(tracing === undefined ? {} : { tracing }),
  ...(proxyHeaders === undefined ? {} : { proxyHeaders }),
  ...(gatewayTopology === undefined ? {} : { gatewayTopology }),
  ...(connectionSettings === undefined ? {} : { connectionSettings }),
});

/** A proxy's own settings; undefined where it has none, or those of the mesh. */
export function deriveOwnProxyConfig(mesh: MeshConfig, { config }: MeshProxy): TranslatedProxyConfig | undefined {
  const own = config && pick(config);
  return own === undefined || isDeepEqual(own, pick(mesh.defaultConfig)) ? undefined : own;
}

/** The mesh as a proxy with settings of its own sees it: the same snapshot with these in the place of the mesh's. */
export function layOverProxyConfig(snapshot: Snapshot, own: TranslatedProxyConfig | undefined): Snapshot {
  if (own === undefined) return snapshot;
  const text = canonicalText(own);
  return snapshots({ owner: snapshot, slot: text }, [], () => {
    return snapshot.withMesh(meshes({ owner: snapshot.mesh, slot: text }, [], () => replace(snapshot.mesh, own)));
  });
}

const snapshots = createSlotMemo<Snapshot>(Number.POSITIVE_INFINITY);
const meshes = createSlotMemo<MeshConfig>(Number.POSITIVE_INFINITY);

function replace(mesh: MeshConfig, own: TranslatedProxyConfig): MeshConfig {
  const { tracing, proxyHeaders, gatewayTopology, connectionSettings, ...rest } = mesh.defaultConfig;
  return { ...mesh, defaultConfig: { ...rest, ...own } };
}
