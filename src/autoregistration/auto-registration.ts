/**
 * Keeps the workload entries of connected proxies that run outside Kubernetes (Istio: pilot/pkg/autoregistration): makes
 * them from groups, notes who is connected where, writes what agents say of health, and clears up after a grace period.
 * The store is asked in the background, and again until it answers: a proxy is served meanwhile.
 */

import { healthChecksAnnotation } from "../api/object-status.ts";
import type { WorkloadEntry } from "../api/workload-entry/schema.ts";
import type { WorkloadGroup } from "../api/workload-group/schema.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { ConnectedProxy, HealthReport, ProxyConnections } from "../model/proxy-connections.ts";
import { buildEntry } from "./build-entry.ts";
import { connectAnnotations, decideCleanup, isControlledBy, planConnect, planDisconnect } from "./entry-state.ts";
import type { EntryStore, StoredEntry } from "./entry-store.ts";
import { checkIdentity, describeRegistration, type Registration, type RegistrationSettings } from "./registration.ts";
import { RetriedWork } from "./retried-work.ts";
import { Workload } from "./workload.ts";

/** The mesh as it is now. */
export interface MeshEntries {
  findGroup(namespace: string, name: string): WorkloadGroup | undefined;
  findEntry(namespace: string, name: string): WorkloadEntry | undefined;
  listEntries(): readonly WorkloadEntry[];
}

export type RegistrationCounter =
  | "auto_registration_success_total"
  | "auto_registration_updates_total"
  | "auto_registration_unregister_total"
  | "auto_registration_deletes_total"
  | "auto_registration_errors_total";

export interface AutoRegistrationOptions {
  readonly settings: RegistrationSettings;
  /** Name of this replica in annotations. */
  readonly instance: string;
  /** Milliseconds that a workload may be away before its entry is cleared up. */
  readonly graceMs: number;
  /** Milliseconds that a connection lasts at most; infinity where nothing ends it. */
  readonly maxConnectionAgeMs: number;
  readonly store: EntryStore;
  readonly mesh: MeshEntries;
  readonly clock: Clock;
  readonly log: Log;
  readonly count: (name: RegistrationCounter) => void;
}

export interface AutoRegistration extends ProxyConnections {
  start(): void;
  /** Resolves when what was begun has ended, or after a short while. */
  stop(): Promise<void>;
  /** The mesh may differ. */
  notify(): void;
}

/** Creates it; proxies may connect before start(), which begins the clearing up alone. */
export function createAutoRegistration(options: AutoRegistrationOptions): AutoRegistration {
  return new Registrar(options);
}

/** Entries that nobody cleared up, such as those of a replica that was ended, are looked for after so many grace periods. */
const sweepGracePeriods = 10;
const stopPatienceMs = 2_000;

interface Tracked {
  readonly workload: Workload;
  readonly work: RetriedWork;
}

class Registrar implements AutoRegistration {
  readonly #options: AutoRegistrationOptions;
  readonly #tracked = new Map<string, Tracked>();
  #sweepTimer: Timer | undefined;
  #sweeping: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: AutoRegistrationOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, graceMs } = this.#options;
    this.#sweepTimer = clock.after(sweepGracePeriods * graceMs, () => {
      this.#sweeping = this.#sweep().finally(() => {
        if (!this.#isStopped) this.start();
      });
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#sweepTimer?.close();
    const ends = [...this.#tracked.values()].map(({ work }) => work.close());
    const { clock } = this.#options;
    let patience: Timer | undefined;
    await Promise.race([
      Promise.all([...ends, this.#sweeping]),
      new Promise<void>((resolve) => {
        patience = clock.after(stopPatienceMs, resolve);
      }),
    ]);
    patience?.close();
  }

  connect(connection: ConnectedProxy): string | undefined {
    const registration = describeRegistration(connection.proxy, this.#options.settings);
    if (registration === undefined) return undefined;
    const refusal = this.#checkKnown(registration, connection);
    if (refusal !== undefined) return refusal;
    const { workload, work } = this.#track(registration);
    workload.add(connection);
    work.request();
    return undefined;
  }

  disconnect(connection: ConnectedProxy): void {
    const tracked = this.#find(connection);
    if (tracked === undefined || !tracked.workload.remove(connection, this.#options.clock.now())) return;
    if (!tracked.workload.isConnected) tracked.work.request();
  }

  reportHealth(connection: ConnectedProxy, report: HealthReport): void {
    if (!this.#options.settings.takesHealth) return;
    const tracked = this.#find(connection);
    if (tracked === undefined) {
      const { nodeId } = connection.proxy;
      this.#options.log.debug("health of a proxy that stands for no workload entry is passed over", { proxy: nodeId });
      return;
    }
    tracked.workload.health = report;
    tracked.work.request();
  }

  notify(): void {
    for (const { workload, work } of this.#tracked.values()) {
      const isPrepared = this.#isPrepared(workload.registration);
      if (isPrepared === workload.isPrepared) continue;
      workload.isPrepared = isPrepared;
      work.request();
    }
  }

  #find({ proxy }: ConnectedProxy): Tracked | undefined {
    const registration = describeRegistration(proxy, this.#options.settings);
    return registration && this.#tracked.get(keyOf(registration));
  }

  #track(registration: Registration): Tracked {
    const key = keyOf(registration);
    const known = this.#tracked.get(key);
    if (known !== undefined) return known;
    const { clock, log, count } = this.#options;
    const workload = new Workload(registration, this.#isPrepared(registration));
    const work = new RetriedWork({
      clock,
      run: () => this.#settle(workload),
      onFailure: (error, attempt) => {
        count("auto_registration_errors_total");
        const report = attempt === 3 ? log.warn : log.debug;
        report("a workload entry cannot be written yet", { object: key, error });
      },
    });
    const tracked = { workload, work };
    this.#tracked.set(key, tracked);
    return tracked;
  }

  /** Whether the mesh has what it takes: the group, or the entry with probes switched on. */
  #isPrepared({ kind, namespace, name, group }: Registration): boolean {
    const { mesh } = this.#options;
    if (kind === "group") return mesh.findGroup(namespace, group) !== undefined;
    const entry = mesh.findEntry(namespace, name);
    return entry !== undefined && takesHealth(entry.meta.annotations);
  }

  /** The check by what the mesh knows; what is stored decides again. */
  #checkKnown(registration: Registration, connection: ConnectedProxy): string | undefined {
    const { kind, namespace, name, group } = registration;
    const { mesh, settings } = this.#options;
    const entry = mesh.findEntry(namespace, name);
    if (!settings.checksIdentity || (kind === "entry" && !this.#isPrepared(registration))) return undefined;
    const serviceAccount = (entry?.spec ?? mesh.findGroup(namespace, group)?.spec.template)?.serviceAccount;
    return checkIdentity(connection.identity, { namespace, serviceAccount });
  }

  /** Brings the stored entry to what is so now. */
  async #settle(workload: Workload): Promise<void> {
    const { namespace, name } = workload.registration;
    const stored = await this.#options.store.read(namespace, name);
    if (workload.isConnected) await this.#join(workload, stored);
    else await this.#leave(workload, stored);
  }

  async #join(workload: Workload, stored: StoredEntry | undefined): Promise<void> {
    const { registration } = workload;
    const { store, mesh } = this.#options;
    const group =
      registration.kind === "group" ? mesh.findGroup(registration.namespace, registration.group) : undefined;
    if (stored === undefined) {
      if (group !== undefined) await this.#create(workload, group);
      else if (registration.kind === "group") this.#reportMissing(registration);
      return;
    }
    if (registration.kind === "group" && group === undefined && store.ownsEntries) return store.delete(stored);
    if (registration.kind === "entry" && !takesHealth(stored.annotations)) return;
    if (!this.#admit(workload, stored.serviceAccount)) return;
    const patch = planConnect(stored.annotations, this.#presenceOf(workload));
    if (patch !== undefined) {
      await store.annotate(stored, patch);
      this.#options.count("auto_registration_updates_total");
    }
    await this.#writeHealth(workload);
  }

  async #create(workload: Workload, group: WorkloadGroup): Promise<void> {
    const { registration } = workload;
    if (!this.#admit(workload, group.spec.template.serviceAccount ?? "")) return;
    const newest = workload.connections.at(-1);
    if (newest === undefined) return;
    const draft = buildEntry(registration, newest.proxy, group);
    const annotations = { ...draft.metadata.annotations, ...connectAnnotations(this.#presenceOf(workload)) };
    await this.#options.store.create({ ...draft, metadata: { ...draft.metadata, annotations } });
    this.#options.count("auto_registration_success_total");
    this.#options.log.info("registered a workload", { object: keyOf(registration) });
    await this.#writeHealth(workload);
  }

  /** Ends the streams of those who may not stand for the entry; false where nobody is left. */
  #admit(workload: Workload, serviceAccount: string): boolean {
    if (!this.#options.settings.checksIdentity) return true;
    const { namespace } = workload.registration;
    for (const connection of workload.connections) {
      const refusal = checkIdentity(connection.identity, { namespace, serviceAccount });
      if (refusal === undefined) continue;
      workload.remove(connection, this.#options.clock.now());
      connection.refuse(refusal);
    }
    if (!workload.isConnected) this.#tracked.get(keyOf(workload.registration))?.work.request();
    return workload.isConnected;
  }

  async #writeHealth(workload: Workload): Promise<void> {
    const { health, registration } = workload;
    if (health === undefined) return;
    const { store, instance } = this.#options;
    // As it is now: a write changes what the store compares with.
    const stored = await store.read(registration.namespace, registration.name);
    const isOurs = stored !== undefined && isControlledBy(stored.annotations, instance);
    if (isOurs && (stored.healthAtMs ?? 0) <= health.atMs) await store.setHealth(stored, health);
    if (workload.health === health) workload.health = undefined;
  }

  async #leave(workload: Workload, stored: StoredEntry | undefined): Promise<void> {
    const { store, count, clock, graceMs } = this.#options;
    if (stored === undefined) return this.#forget(workload);
    const patch = planDisconnect(stored.annotations, this.#presenceOf(workload), workload.disconnectedAtMs);
    if (patch !== undefined) {
      await store.annotate(stored, patch);
      if (workload.registration.kind === "group") count("auto_registration_unregister_total");
    }
    if (workload.isConnected) return;
    const leftMs = workload.disconnectedAtMs + graceMs - clock.now();
    if (leftMs > 0 && !this.#isStopped)
      return this.#tracked.get(keyOf(workload.registration))?.work.requestLater(leftMs);
    if (patch === undefined) await this.#clearUp(stored);
    else await this.#clearUp(await store.read(stored.namespace, stored.name));
    this.#forget(workload);
  }

  async #clearUp(stored: StoredEntry | undefined): Promise<void> {
    if (stored === undefined) return;
    const { store, count, log } = this.#options;
    const { annotations, healthAtMs } = stored;
    const decision = decideCleanup({ annotations, hasHealth: healthAtMs !== undefined }, this.#cleanupLimits());
    if (decision === undefined) return;
    const object = keyOf(stored);
    if (decision === "clearHealth") return store.setHealth(stored, undefined);
    await store.delete(stored);
    count("auto_registration_deletes_total");
    log.info("took away the entry of a workload that is gone", { object });
  }

  /** One after the other: a sweep is in no hurry, and one failure does not hold up the others. */
  async #sweep(): Promise<void> {
    const { mesh, store, log } = this.#options;
    const limits = this.#cleanupLimits();
    for (const { meta, status } of mesh.listEntries()) {
      if (this.#isStopped) return;
      const view = { annotations: meta.annotations, hasHealth: status !== undefined };
      if (this.#tracked.has(keyOf(meta)) || decideCleanup(view, limits) === undefined) continue;
      try {
        await this.#clearUp(await store.read(meta.namespace, meta.name));
      } catch (error) {
        log.debug("a workload entry cannot be cleared up yet", { object: keyOf(meta), error });
      }
    }
  }

  #cleanupLimits(): Parameters<typeof decideCleanup>[1] {
    const { clock, graceMs, maxConnectionAgeMs } = this.#options;
    const isLimited = maxConnectionAgeMs > 0 && Number.isFinite(maxConnectionAgeMs);
    // As istiod: connections end a little later than their age.
    return { nowMs: clock.now(), graceMs, maxAgeMs: isLimited ? maxConnectionAgeMs * 1.5 : Number.POSITIVE_INFINITY };
  }

  #presenceOf({ connectedAtMs }: Workload): { readonly instance: string; readonly connectedAtMs: number } {
    return { instance: this.#options.instance, connectedAtMs };
  }

  #reportMissing({ namespace, group }: Registration): void {
    const text = "a proxy is to be registered by a WorkloadGroup that is not there yet";
    this.#options.log.warn(text, { group: `${namespace}/${group}` });
  }

  /** Unless somebody has come meanwhile. */
  #forget({ registration, isConnected }: Workload): void {
    if (!isConnected) this.#tracked.delete(keyOf(registration));
  }
}

const takesHealth = (annotations: { readonly [name: string]: string }): boolean =>
  Object.hasOwn(annotations, healthChecksAnnotation);
const keyOf = ({ namespace, name }: { readonly namespace: string; readonly name: string }): string =>
  `${namespace}/${name}`;
