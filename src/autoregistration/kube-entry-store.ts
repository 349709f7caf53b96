/** Workload entries in the cluster: read from the API server each time, so that a slow watch decides nothing. */
import { healthyCondition } from "../api/object-status.ts";
import { groupVersionPath, istioResources } from "../api/resource-names.ts";
import { KubeApiError, type KubeClient } from "../kube/kube-client.ts";
import { formatInstant, parseInstant } from "../lib/clock.ts";
import { parseLabels } from "../model/node.ts";
import type { HealthReport } from "../model/proxy-connections.ts";
import type { AnnotationPatch } from "./entry-state.ts";
import type { EntryStore, StoredEntry } from "./entry-store.ts";

interface KubeEntry extends StoredEntry {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly conditions: readonly RawRecord[];
}

type RawRecord = Readonly<Record<string, unknown>>;

export function createKubeEntryStore(client: KubeClient): EntryStore<KubeEntry> {
  const patch = async ({ namespace, name, uid, resourceVersion }: KubeEntry, change: EntryPatch): Promise<void> => {
    const { path = "", metadata = {}, ...rest } = change;
    await client.request({
      method: "PATCH",
      path: `${pathOf(namespace, name)}${path}`,
      // Refused where anybody wrote since we looked, such as a replica that the proxy has gone to.
      body: { metadata: { ...metadata, uid, resourceVersion }, ...rest },
      contentType: "application/merge-patch+json",
    });
  };
  return {
    ownsEntries: false,
    async read(namespace, name) {
      try {
        return parseEntry(namespace, name, await client.request({ path: pathOf(namespace, name) }));
      } catch (cause) {
        if (cause instanceof KubeApiError && cause.status === 404) return undefined;
        throw cause;
      }
    },
    async create(draft) {
      await client.request({ method: "POST", path: pathOf(draft.metadata.namespace), body: draft });
    },
    annotate: (entry, annotations) => patch(entry, { metadata: { annotations } }),
    async setHealth(entry, report) {
      const conditions = replaceHealth(entry.conditions, report);
      await patch(entry, { path: "/status", status: { conditions } });
    },
    async delete({ namespace, name, uid, resourceVersion }) {
      const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid, resourceVersion } };
      try {
        await client.request({ method: "DELETE", path: pathOf(namespace, name), body });
      } catch (cause) {
        if (!(cause instanceof KubeApiError && cause.status === 404)) throw cause;
      }
    },
  };
}

interface EntryPatch {
  /** Of the subresource. */
  readonly path?: "/status";
  readonly metadata?: { readonly annotations: AnnotationPatch };
  readonly status?: object;
}

/** The condition keeps its place, and those of others stay. */
function replaceHealth(conditions: readonly RawRecord[], report: HealthReport | undefined): readonly RawRecord[] {
  if (report === undefined) return conditions.filter(({ type }) => type !== healthyCondition);
  // Agents report changes alone: each probe that is told of is a change.
  const at = formatInstant(report.atMs);
  const condition = {
    type: healthyCondition,
    status: report.isHealthy ? "True" : "False",
    lastProbeTime: at,
    lastTransitionTime: at,
    ...(report.isHealthy || report.message === "" ? {} : { message: report.message }),
  };
  const isThere = conditions.some(({ type }) => type === healthyCondition);
  if (!isThere) return [...conditions, condition];
  return conditions.map((each) => (each["type"] === healthyCondition ? condition : each));
}

function parseEntry(namespace: string, name: string, raw: unknown): KubeEntry {
  const { metadata, spec, status } = readRecord(raw);
  const { annotations, uid, resourceVersion } = readRecord(metadata);
  const stated = readRecord(status)["conditions"];
  const conditions = Array.isArray(stated) ? stated.map(readRecord) : [];
  const health = conditions.find(({ type }) => type === healthyCondition);
  return {
    namespace,
    name,
    annotations: parseLabels(annotations),
    serviceAccount: readText(readRecord(spec)["serviceAccount"]),
    healthAtMs: health && (parseInstant(readText(health["lastProbeTime"])) ?? 0),
    uid: readText(uid),
    resourceVersion: readText(resourceVersion),
    conditions,
  };
}

const readText = (raw: unknown): string => (typeof raw === "string" ? raw : "");

function readRecord(raw: unknown): RawRecord {
  return typeof raw === "object" && raw !== null && !Array.isArray(raw) ? (raw as RawRecord) : {};
}

/** Of one entry, or of all of a namespace. */
function pathOf(namespace: string, name?: string): string {
  const { group, plural, versions } = istioResources.WorkloadEntry;
  const folder = `${groupVersionPath(group, versions[0] ?? "v1")}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
  return name === undefined ? folder : `${folder}/${encodeURIComponent(name)}`;
}
