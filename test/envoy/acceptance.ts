/**
 * Whether a real Envoy takes everything that a control plane sends it. Two witnesses: the control plane's own pages
 * (what was sent, acknowledged, refused) and Envoy's (what it holds, what it counted as rejected).
 */
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { eventually } from "./envoy-process.ts";
import { type IsolatedEnvoy, type IsolatedEnvoyOptions, startIsolatedEnvoy } from "./isolated-envoy.ts";

/** What Envoy holds of each type, and everything that speaks of a refusal. */
export interface Acceptance {
  readonly clusters: number;
  readonly listeners: number;
  readonly routes: number;
  readonly endpoints: number;
  /** True where listeners or clusters want certificates of the control plane, which serves none yet. */
  readonly awaitsCredentials: boolean;
  /** Clusters and listeners that are held and do not work yet. */
  readonly warming: readonly string[];
  readonly rejections: readonly string[];
}

type Json = { readonly [field: string]: unknown };

/**
 * Connects an Envoy and waits until it holds all that is meant for it, or refuses something. Rejects after 20 seconds
 * without either, and says what is missing.
 */
export async function checkAcceptance(
  server: ControlPlane,
  options: Omit<IsolatedEnvoyOptions, "discovery">,
): Promise<Acceptance> {
  const envoy = await startIsolatedEnvoy({ ...options, discovery: server.grpcAddress });
  const proxyId = options.node.id.split("~")[2] ?? "";
  try {
    let awaitsCredentials = false;
    let expected: readonly Json[] | undefined;
    let rejections: readonly string[] = [];
    await eventually(`${proxyId} has everything`, async () => {
      if (!envoy.isRunning()) throw new Error("Envoy ended");
      const status = await readSyncStatus(server, proxyId);
      rejections = status.refusals;
      if (rejections.length > 0) return true;
      if (status.pending.length > 0) throw new Error(status.pending.join(", "));
      // The mesh stands still, and for a large one this page is the dearest.
      expected ??= await readExpected(server, proxyId);
      awaitsCredentials = JSON.stringify(expected).includes('"kubernetes://');
      const missing = listMissing(expected, await readHoldings(envoy));
      if (missing.length > 0) throw new Error(missing.slice(0, 10).join(", "));
      // Live: nothing that came first is warming any more.
      return awaitsCredentials || (await envoy.admin("ready")).startsWith("LIVE");
    }).catch((cause: unknown) => {
      throw new Error(`${String(cause)}\n${envoy.log()}`);
    });
    const holdings = await readHoldings(envoy);
    rejections = [...rejections, ...holdings.errors, ...(await listRejectionCounters(envoy))];
    return { ...countHoldings(holdings), awaitsCredentials, rejections };
  } finally {
    await envoy.stop();
    // The next Envoy of this name must not be taken for this one.
    await eventually("the control plane sees it go", async () => (await findStatus(server, proxyId)) === undefined);
  }
}

async function getPage(server: ControlPlane, page: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${server.monitoringPort}/debug/${page}`);
  return response.status === 200 ? await response.json() : undefined;
}

interface SyncStatus {
  readonly pending: readonly string[];
  readonly refusals: readonly string[];
}

interface SyncEntry {
  readonly proxy: string;
  readonly resources: { readonly [typeUrl: string]: { sent: string; acked: string; lastError?: string } };
}

async function findStatus(server: ControlPlane, proxyId: string): Promise<SyncEntry | undefined> {
  const page = ((await getPage(server, "syncz")) ?? []) as readonly SyncEntry[];
  return page.find(({ proxy }) => proxy === proxyId);
}

async function readSyncStatus(server: ControlPlane, proxyId: string): Promise<SyncStatus> {
  const status = await findStatus(server, proxyId);
  if (status === undefined) return { pending: ["connection"], refusals: [] };
  const resources = Object.entries(status.resources);
  return {
    pending: resources.flatMap(([typeUrl, { sent, acked }]) =>
      sent === acked ? [] : [`acknowledgement of ${typeUrl}`],
    ),
    refusals: resources.flatMap(([typeUrl, { lastError }]) => (lastError ? [`${typeUrl}: ${lastError}`] : [])),
  };
}

/** What Envoy's configuration dump lists, by name. */
interface Holdings {
  readonly clusters: ReadonlySet<string>;
  readonly listeners: ReadonlySet<string>;
  readonly routes: ReadonlySet<string>;
  readonly endpoints: ReadonlySet<string>;
  readonly warming: readonly string[];
  readonly errors: readonly string[];
}

async function readHoldings(envoy: IsolatedEnvoy): Promise<Holdings> {
  const { configs } = JSON.parse(await envoy.admin("config_dump?include_eds")) as { readonly configs: readonly Json[] };
  const list = (field: string): readonly Json[] =>
    configs.flatMap((config) => (config[field] ?? []) as readonly Json[]);
  const inner = (entry: Json, field: string, name = "name"): string =>
    String((entry[field] as Json | undefined)?.[name]);
  const warmingClusters = list("dynamic_warming_clusters").map((entry) => inner(entry, "cluster"));
  const activeClusters = list("dynamic_active_clusters").map((entry) => inner(entry, "cluster"));
  const listeners = list("dynamic_listeners");
  const nameOf = (entry: Json): string => String(entry["name"]);
  const waiting = listeners.filter((entry) => entry["warming_state"] !== undefined).map(nameOf);
  const dumped = [...listeners, ...list("dynamic_active_clusters"), ...list("dynamic_warming_clusters")];
  return {
    clusters: new Set([...activeClusters, ...warmingClusters]),
    listeners: new Set(listeners.filter((entry) => entry["active_state"] ?? entry["warming_state"]).map(nameOf)),
    routes: new Set(list("dynamic_route_configs").map((entry) => inner(entry, "route_config"))),
    endpoints: new Set(
      list("dynamic_endpoint_configs").map((entry) => inner(entry, "endpoint_config", "cluster_name")),
    ),
    warming: [...warmingClusters, ...waiting],
    errors: [...dumped, ...list("dynamic_route_configs")].flatMap((entry) =>
      entry["error_state"] === undefined ? [] : [JSON.stringify(entry["error_state"])],
    ),
  };
}

/** The clusters and listeners that the control plane has for the proxy. */
async function readExpected(server: ControlPlane, proxyId: string): Promise<readonly Json[]> {
  const page = await getPage(server, `config_dump?types=cds,lds&proxyID=${proxyId}`);
  return (page as { readonly configs: readonly Json[] }).configs;
}

/** What the control plane has for the proxy and Envoy does not hold. */
function listMissing(configs: readonly Json[], holdings: Holdings): readonly string[] {
  const ofType = (type: string): readonly Json[] => configs.filter((config) => String(config["@type"]).endsWith(type));
  const clusters = ofType(".Cluster");
  const listeners = ofType(".Listener");
  const nameOf = ({ name }: Json): string => String(name);
  const expected: readonly [keyof Holdings, readonly string[]][] = [
    ["clusters", clusters.map(nameOf)],
    ["listeners", listeners.map(nameOf)],
    ["routes", listRouteNames(listeners)],
    ["endpoints", clusters.filter(({ type }) => type === "EDS").map(nameOf)],
  ];
  return expected.flatMap(([kind, names]) => {
    const held = holdings[kind] as ReadonlySet<string>;
    return names.filter((name) => !held.has(name)).map((name) => `${kind} ${name}`);
  });
}

/** Every `rds.routeConfigName`, wherever it stands. */
function listRouteNames(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(listRouteNames);
  if (typeof value !== "object" || value === null) return [];
  const { routeConfigName } = value as { readonly routeConfigName?: unknown };
  const own = typeof routeConfigName === "string" ? [routeConfigName] : [];
  return [...own, ...Object.values(value).flatMap(listRouteNames)];
}

/** Envoy's counters of refused updates and of listeners that could not be made, where they are not zero. */
async function listRejectionCounters(envoy: IsolatedEnvoy): Promise<readonly string[]> {
  const text = await envoy.admin("stats?filter=update_rejected|listener_create_failure&usedonly");
  return text.split("\n").filter((line) => /: [1-9]/.test(line));
}

function countHoldings(holdings: Holdings): Omit<Acceptance, "awaitsCredentials" | "rejections"> {
  const { clusters, listeners, routes, endpoints, warming } = holdings;
  return {
    clusters: clusters.size,
    listeners: listeners.size,
    routes: routes.size,
    endpoints: endpoints.size,
    warming,
  };
}
