/**
 * Whether traffic may come: Envoy has its first configuration, its workers run, names can be resolved where the agent
 * answers DNS, and no drain has begun (pilot/cmd/pilot-agent/status/ready). What Envoy never loses again is remembered:
 * the answer reaches the kubelet through Envoy anyway.
 */
import type { AdminClient } from "../envoy/admin.ts";

export interface ReadinessOptions {
  /** Undefined where there is no Envoy (DISABLE_ENVOY). */
  readonly admin: AdminClient | undefined;
  readonly isEnding: () => boolean;
  /** False while DNS is captured and no table of names has come. */
  readonly hasNames: () => boolean;
  /** Called once, when Envoy was ready for the first time. */
  readonly onReady: () => void;
}

/** Undefined where ready, or else what is missing. */
export type ReadinessCheck = () => Promise<string | undefined>;

const liveState = 0;
const states: readonly string[] = ["LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"];
const updatePattern = "^(cluster_manager\\.cds|listener_manager\\.lds)\\.(update_success|update_rejected)$";
const statePattern = "^(server\\.state|listener_manager\\.workers_started)";

export function createReadinessCheck({ admin, isEnding, hasNames, onReady }: ReadinessOptions): ReadinessCheck {
  let isConfigured = false;
  let isLive = false;
  const checkEnvoy = async (client: AdminClient): Promise<string | undefined> => {
    if (!isConfigured) {
      const missing = await findMissingUpdate(client);
      if (missing !== undefined) return missing;
      isConfigured = true;
    }
    if (isLive) return undefined;
    const missing = await findMissingState(client);
    if (missing !== undefined) return missing;
    isLive = true;
    onReady();
    return undefined;
  };
  return async () => {
    if (isEnding()) return "the proxy drains";
    if (!hasNames()) return "DNS is captured and no table of names has come";
    if (admin === undefined) return undefined;
    try {
      return await checkEnvoy(admin);
    } catch (cause: unknown) {
      return `Envoy does not answer: ${cause instanceof Error ? cause.message : String(cause)}`;
    }
  };
}

async function findMissingUpdate(admin: AdminClient): Promise<string | undefined> {
  const stats = await admin.readStats(updatePattern);
  const count = (name: string): number => stats.get(name) ?? 0;
  const clusters = count("cluster_manager.cds.update_success");
  const listeners = count("listener_manager.lds.update_success");
  if (clusters > 0 && listeners > 0) return undefined;
  const refusedClusters = count("cluster_manager.cds.update_rejected");
  const refusedListeners = count("listener_manager.lds.update_rejected");
  const counts =
    `cds updates: ${clusters} successful, ${refusedClusters} rejected; ` +
    `lds updates: ${listeners} successful, ${refusedListeners} rejected`;
  if (clusters === 0 && listeners === 0) return `no configuration from the control plane yet: ${counts}`;
  if (refusedClusters + refusedListeners > 0) return `Envoy refused configuration: ${counts}`;
  return `not all configuration has come: ${counts}`;
}

async function findMissingState(admin: AdminClient): Promise<string | undefined> {
  const stats = await admin.readStats(statePattern);
  const state = stats.get("server.state");
  if (state === undefined) return "Envoy does not tell its state yet";
  if (state !== liveState) return `Envoy is not live, but ${states[state] ?? "in an unknown state"}`;
  return stats.get("listener_manager.workers_started") === 1 ? undefined : "Envoy's workers have not started";
}
