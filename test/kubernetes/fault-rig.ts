/**
 * A control plane over a real API server with a proxy between them that breaks things, and proxies that watch. After each
 * fault the five invariants of the fault list are checked: (i) no proxy was emptied, (ii) the state of the proxies is what
 * the objects ask for, (iii) no accepted object was forgotten, (iv) the log shows the cause, (v) the heap is as before.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, vi } from "vitest";
import { parseAllDocuments } from "yaml";
import { findKindInfo } from "../../src/api/known-kinds.ts";
import { groupVersionPath, istioResources, kubeResources, type ResourceNames } from "../../src/api/resource-names.ts";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import type { GivenOptions } from "../../src/config/flags.ts";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import { KubeApiError, type KubeClient } from "../../src/kube/kube-client.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { type Log, silentLog } from "../../src/lib/log.ts";
import type { KubernetesLimits } from "../../src/sources/kubernetes/limits.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import type { Source } from "../../src/sources/source.ts";
import type { XdsLimits } from "../../src/xds/limits.ts";
import { type Cluster, type ClusterOptions, startCluster } from "../../tools/cluster/cluster.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { baseObjects, type ProxyPlace, proxyPlaces } from "./fault-mesh.ts";
import { type FaultProxy, type FaultTarget, type ProxiedRequest, startFaultProxy } from "./fault-proxy.ts";
import { installCrds } from "./install-crds.ts";
import { WatchingProxy } from "./watching-proxy.ts";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface RigOptions {
  readonly limits?: Partial<KubernetesLimits>;
  readonly options?: GivenOptions;
  readonly clock?: Clock;
  /** kubeconfig to use in place of an administrator's; or who makes it, for the address of the proxy before the API server. */
  readonly kubeconfig?: string | ((url: string) => Promise<string>);
  /** The source in place of the usual one, for the address of the proxy before the API server. */
  readonly source?: (url: string, log: Log) => Promise<Source>;
  /** Kinds that proxies are told nothing of here, and that are too many to be listed again and again. */
  readonly oracleSkips?: readonly string[];
  /** Limits of the xDS side. */
  readonly xdsLimits?: Partial<XdsLimits>;
  /** What the heap is compared with, where the fault is there from the start. */
  readonly heapBefore?: number;
  /** False: the control plane is made by the test itself with `startControlPlane`. */
  readonly isStarted?: boolean;
}

/** A cluster with the CRDs and the mesh that all faults are done to; one for all tests of a file. */
export async function startFaultCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = await startCluster(options);
  await installCrds(cluster);
  await cluster.kubectl(["apply", "--server-side", "-f", "-"], baseObjects());
  return cluster;
}

export class FaultRig {
  readonly cluster: Cluster;
  readonly proxy: FaultProxy;
  readonly log: LogLine[] = [];
  readonly proxies: WatchingProxy[] = [];
  readonly #options: RigOptions;
  /** To the API server itself, past the faults. */
  readonly #direct: Promise<KubeClient>;
  #controlPlane: ControlPlane | undefined;
  #heapBefore = 0;
  #serial = 0;

  private constructor(cluster: Cluster, proxy: FaultProxy, options: RigOptions) {
    this.cluster = cluster;
    this.proxy = proxy;
    this.#options = options;
    this.#heapBefore = options.heapBefore ?? 0;
    this.#direct = createKubeClient({ kubeconfig: cluster.kubeconfig, clock: systemClock, log: silentLog });
  }

  /** A control plane that has everything, four proxies that have taken everything, and the heap as it is then. */
  static async start(cluster: Cluster, options: RigOptions = {}): Promise<FaultRig> {
    const proxy = await startFaultProxy(targetOf(cluster));
    const rig = new FaultRig(cluster, proxy, options);
    if (options.isStarted === false) return rig;
    await rig.startControlPlane();
    await rig.#waitForLeading();
    await rig.connectProxies();
    return rig;
  }

  /** What only the leader watches begins when it leads, which may be after the first proxy has everything; it counts as heap. */
  async #waitForLeading(): Promise<void> {
    const { options, kubeconfig, source } = this.#options;
    if (options?.rootConfigMap === "none" || kubeconfig !== undefined || source !== undefined) return;
    const isForRoots = ({ path }: ProxiedRequest): boolean => path === "/api/v1/configmaps";
    await vi.waitFor(() => expect(this.proxy.listWatches().some(isForRoots)).toBe(true), 60_000);
  }

  /** Bytes in use before the fault. */
  get heapBefore(): number {
    return this.#heapBefore;
  }

  /** From now on the heap is compared with that of this moment: the mesh has grown, and no fault was done yet. */
  noteHeap(): void {
    this.#heapBefore = measureHeap();
  }

  get controlPlane(): ControlPlane {
    if (this.#controlPlane === undefined) throw new Error("the control plane was not started");
    return this.#controlPlane;
  }

  async startControlPlane(): Promise<ControlPlane> {
    const { limits, options, clock, xdsLimits, kubeconfig, source } = this.#options;
    const log = createRecorder(this.log);
    const { url } = this.proxy;
    this.#controlPlane = await startTestControlPlane({
      log,
      options: {
        kubeconfig:
          typeof kubeconfig === "function" ? await kubeconfig(url) : (kubeconfig ?? this.cluster.kubeconfigFor(url)),
        httpsAddr: "127.0.0.1:0",
        leaderElection: "false",
        writeStatus: "false",
        validationWebhookConfigName: "none",
        injectionWebhookConfigName: "none",
        ...options,
      },
      ...(limits === undefined ? {} : { watchLimits: limits }),
      ...(xdsLimits === undefined ? {} : { limits: xdsLimits }),
      ...(clock === undefined ? {} : { clock }),
      ...(source === undefined ? {} : { source: await source(url, log) }),
    });
    return this.#controlPlane;
  }

  /** A sidecar and a gateway in each variant, which then hold everything. */
  async connectProxies(): Promise<void> {
    for (const place of proxyPlaces) for (const variant of ["sotw", "delta"] as const) this.connect(variant, place);
    await this.expectConverged(20_000);
    if (this.#heapBefore === 0) this.#heapBefore = measureHeap();
  }

  /** One more proxy; by another address where there is something between it and the control plane. */
  connect(variant: "sotw" | "delta", place: ProxyPlace, address = this.controlPlane.grpcAddress): WatchingProxy {
    const proxy = new WatchingProxy(address, variant, place.node(++this.#serial));
    this.proxies.push(proxy);
    return proxy;
  }

  /** Applies objects (YAML) at the API server itself, without the time that kubectl takes to start. */
  async apply(text: string): Promise<void> {
    const client = await this.#direct;
    for (const document of parseAllDocuments(text)) {
      const body = document.toJS() as AppliedObject;
      const query = { fieldManager: "fault", force: "true" };
      const contentType = "application/apply-patch+yaml";
      await client.request({ method: "PATCH", path: pathOfObject(body), query, contentType, body });
    }
  }

  async remove(kind: string, name: string, namespace = "shop"): Promise<void> {
    const path = pathOfObject({ kind, metadata: { name, namespace } });
    await (await this.#direct).request({ method: "DELETE", path });
  }

  /**
   * Whole lists of a kind that were asked for so far: first pages, and watches that begin with a list. Of a kind that is
   * watched in several parts, such as ConfigMaps by their names, the part with most of them counts.
   */
  countLists(plural: string, after = 0): number {
    const lists = this.proxy.requests.slice(after).filter(({ path, query, isWatch }) => {
      if (!path.endsWith(`/${plural}`) || query.get("limit") === "1") return false;
      return isWatch ? query.get("sendInitialEvents") === "true" : !query.has("continue");
    });
    const parts = Object.groupBy(lists, partOf);
    return Math.max(0, ...Object.values(parts).map((part = []) => part.length));
  }

  /** Invariants (ii) and (iii): within `withinMs` each proxy has exactly what a control plane that knows only the objects gives. */
  async expectConverged(withinMs = 10_000): Promise<void> {
    const end = Date.now() + withinMs;
    for (;;) {
      const difference = await this.#findDifference().catch(describeBusyServer);
      if (difference === undefined) return;
      if (Date.now() > end) throw new Error(`not what the objects ask for after ${withinMs} ms: ${difference}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** All five, after a fault; `cause` is what the log must show of it. */
  async expectInvariants(
    cause: RegExp,
    { heap = true, streams = true }: { heap?: boolean; streams?: boolean } = {},
  ): Promise<void> {
    await this.expectConverged();
    for (const proxy of this.proxies) {
      expect(proxy.emptied(), `(i) ${proxy.node.id}`).toEqual([]);
      if (streams) expect(proxy.isEnded, `${proxy.node.id} lost its stream`).toBe(false);
    }
    expect(this.findLogged(cause), `(iv) the log has no line like ${cause}:\n${this.printLog()}`).toBeDefined();
    if (heap) expectHeap(this.#heapBefore);
  }

  findLogged(pattern: RegExp): LogLine | undefined {
    return this.log.find((line) => pattern.test(printLine(line)));
  }

  printLog(): string {
    return this.log
      .slice(-30)
      .map((line) => `${line.level} ${printLine(line)}`.slice(0, 300))
      .join("\n");
  }

  async stop(): Promise<void> {
    for (const proxy of this.proxies) proxy.stop();
    await this.#controlPlane?.stop();
    (await this.#direct).close();
    await this.proxy.stop();
  }

  async #findDifference(): Promise<string | undefined> {
    const expected = await this.#deriveExpected();
    for (const proxy of this.proxies) {
      const wanted = expected.get(nodeKey(proxy));
      if (wanted === undefined || proxy.isEnded) continue;
      const difference = firstDifference(wanted, proxy.state());
      if (difference !== undefined) return `${proxy.node.id}: ${difference}`;
    }
    return undefined;
  }

  /** What a control plane gives that reads the objects of this moment once, and nothing else. */
  async #deriveExpected(): Promise<ReadonlyMap<string, string>> {
    const text = await listObjects(await this.#direct, this.#options.oracleSkips);
    const known = oracle.get(text);
    if (known !== undefined) return known;
    const source = createMemorySource();
    source.apply(text);
    const controlPlane = await startTestControlPlane({ source });
    const states = new Map<string, string>();
    try {
      for (const proxy of uniqueNodes(this.proxies)) {
        const twin = new WatchingProxy(controlPlane.grpcAddress, "sotw", proxy.node);
        states.set(nodeKey(proxy), await settledState(twin));
        twin.stop();
      }
    } finally {
      await controlPlane.stop();
    }
    oracle.clear();
    oracle.set(text, states);
    return states;
  }
}

/** A server that has just come back may not serve every list at once. */
function describeBusyServer(cause: unknown): string {
  if (cause instanceof KubeApiError && cause.status >= 429) return cause.message;
  throw cause;
}

interface AppliedObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

function pathOfObject({ kind, metadata: { name, namespace } }: AppliedObject): string {
  const resources: Readonly<Record<string, ResourceNames>> = { ...kubeResources, ...istioResources };
  const names = resources[kind];
  if (names === undefined) throw new Error(`${kind} has no path`);
  const root = groupVersionPath(names.group, names.versions[0] ?? "v1");
  const within = namespace === undefined ? "" : `/namespaces/${namespace}`;
  return `${root}${within}/${names.plural}/${name}`;
}

function targetOf(cluster: Cluster): FaultTarget {
  const read = (name: string): Buffer => readFileSync(join(cluster.folder, "certs", name));
  return { url: cluster.url, certificate: read("apiserver.crt"), key: read("apiserver.key") };
}

/** The last answer of the oracle: most questions are asked again before anything changes. */
const oracle = new Map<string, ReadonlyMap<string, string>>();

const nodeKey = ({ node }: WatchingProxy): string => JSON.stringify(node.metadata);

function uniqueNodes(proxies: readonly WatchingProxy[]): readonly WatchingProxy[] {
  return [...new Map(proxies.map((proxy) => [nodeKey(proxy), proxy])).values()];
}

async function settledState(proxy: WatchingProxy): Promise<string> {
  let before = "";
  for (let round = 0; round < 100; round++) {
    await new Promise((resolve) => setTimeout(resolve, 40));
    const state = proxy.state();
    if (state !== "" && state === before && proxy.count("rds") > 0) return state;
    before = state;
  }
  throw new Error(`${proxy.node.id} does not settle:\n${before.slice(0, 500)}`);
}

function firstDifference(wanted: string, found: string): string | undefined {
  if (wanted === found) return undefined;
  const [wantedLines, foundLines] = [new Set(wanted.split("\n")), new Set(found.split("\n"))];
  const missing = [...wantedLines].filter((line) => !foundLines.has(line));
  const extra = [...foundLines].filter((line) => !wantedLines.has(line));
  return `missing ${missing.slice(0, 3).join(", ")}; extra ${extra.slice(0, 3).join(", ")}`;
}

/** All objects of the kinds that are read, asked of the API server itself: JSON documents, which are YAML. */
async function listObjects(client: KubeClient, skipped: readonly string[] = []): Promise<string> {
  const wanted = [...Object.entries<ResourceNames>(kubeResources), ...Object.entries<ResourceNames>(istioResources)]
    .filter(([kind]) => findKindInfo(kind) !== undefined && kind !== "Secret" && !skipped.includes(kind))
    .map(([kind, names]) => listKind(client, kind, names));
  return (await Promise.all(wanted)).flat().join("\n---\n");
}

async function listKind(client: KubeClient, kind: string, names: ResourceNames): Promise<readonly string[]> {
  const { group, versions, plural } = names;
  const isSettings = kind === "ConfigMap";
  const query = isSettings ? { fieldSelector: "metadata.name=istio,metadata.namespace=istio-system" } : {};
  for (const version of versions) {
    try {
      const list = await client.request({ path: `${groupVersionPath(group, version)}/${plural}`, query });
      const items = (list as { readonly items: readonly object[] }).items;
      const apiVersion = group === "" ? version : `${group}/${version}`;
      return items.map((item) => JSON.stringify({ apiVersion, kind, ...item }));
    } catch (cause) {
      // A version that is not served; where none is, the CRD was taken away.
      if (!(cause instanceof KubeApiError && cause.status === 404)) throw cause;
    }
  }
  return [];
}

function createRecorder(lines: LogLine[], bound: Readonly<Record<string, unknown>> = {}): Log {
  const record =
    (level: LogLine["level"]) =>
    (text: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void lines.push({ level, text, fields: withoutErrors({ ...bound, ...fields }) });
  return {
    debug: record("debug"),
    info: record("info"),
    warn: record("warn"),
    error: record("error"),
    child: (fields) => createRecorder(lines, { ...bound, ...fields }),
  };
}

/** Errors as their texts: an error holds on to its causes and to what they know, which is no heap of the control plane. */
function withoutErrors(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const texts = Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.message : value]);
  return Object.fromEntries(texts);
}

/** Text and fields of a line of the log; without its level. */
export function printLine({ text, fields }: LogLine): string {
  return `${text} ${printFields(fields)}`;
}

function printFields(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(fields, (_key, value: unknown) => (value instanceof Error ? value.message : value));
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes in use after everything that can be freed was freed. */
export function measureHeap(): number {
  for (let round = 0; round < 3; round++) collect();
  return process.memoryUsage().heapUsed;
}

/** Invariant (v), within a tenth. The records of this rig itself grow as well, so that nothing is taken off for them. */
function expectHeap(before: number): void {
  const after = measureHeap();
  expect(after, `(v) heap ${Math.round(before / 1e6)} MB before, ${Math.round(after / 1e6)} MB after`).toBeLessThan(
    before * 1.1,
  );
}

/** What tells the parts of a kind that are watched each on their own. */
export function partOf({ path, query }: ProxiedRequest): string {
  return `${path} ${query.get("fieldSelector") ?? ""}`;
}
