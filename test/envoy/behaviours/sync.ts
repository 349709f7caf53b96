/** Whether Envoys have what the control plane has for them: its page of acknowledgements, and Envoy's own gauges. */
import type { ControlPlane } from "../../../src/bootstrap/control-plane.ts";
import type { EnvoyProcess } from "../envoy-process.ts";

export interface Sync {
  /** Equal text where nothing was sent in between. */
  readonly state: string;
  readonly pending: readonly string[];
  readonly refusals: readonly string[];
}

interface SyncEntry {
  readonly proxy: string;
  readonly resources: {
    readonly [typeUrl: string]: { readonly sent: string; readonly acked: string; readonly lastError?: string };
  };
}

export async function readSync(controlPlane: ControlPlane, envoys: ReadonlyMap<string, EnvoyProcess>): Promise<Sync> {
  const response = await fetch(`http://127.0.0.1:${controlPlane.monitoringPort}/debug/syncz`);
  const entries = (await response.json()) as readonly SyncEntry[];
  const resources = entries.flatMap((entry) =>
    Object.entries(entry.resources).map(([typeUrl, state]) => ({ what: `${entry.proxy} ${typeUrl}`, ...state })),
  );
  const missing = envoys.size - entries.length;
  const warming = await Promise.all([...envoys].map(([name, envoy]) => listWarming(name, envoy)));
  return {
    state: resources.map(({ what, sent }) => `${what} ${sent}`).join("\n"),
    pending: [
      ...(missing > 0 ? [`${missing} Envoys are not connected`] : []),
      ...resources.flatMap(({ what, sent, acked }) => (sent === acked ? [] : [what])),
      ...warming.flat(),
    ],
    refusals: resources.flatMap(({ what, lastError }) => (lastError ? [`${what}: ${lastError}`] : [])),
  };
}

async function listWarming(name: string, envoy: EnvoyProcess): Promise<readonly string[]> {
  const text = await envoy.admin(
    "stats?filter=^(cluster_manager.warming_clusters|listener_manager.total_listeners_warming)$",
  );
  return text.split("\n").flatMap((line) => (/: [1-9]/.test(line) ? [`${name} ${line}`] : []));
}
