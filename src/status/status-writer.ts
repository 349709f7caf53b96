/**
 * Writes the status of every object that people wrote for the mesh: what validation says, and on how many proxies it is
 * live. Only the leader writes, only what differs from what is stored, and not faster than a limit. What is stored is
 * listed once when leadership begins, so that a restart or another leader writes nothing that is there already.
 */
import { groupVersionPath, istioResources, type ResourceNames } from "../api/resource-names.ts";
import { KubeApiError, type KubeClient } from "../kube/kube-client.ts";
import { RateLimiter } from "../kube/rate-limiter.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { findOwn } from "../lib/find-own.ts";
import type { Log } from "../lib/log.ts";
import { formatObjectRef, type Message, type ObjectRef, objectKey } from "../lib/message.ts";
import {
  buildStatusPatch,
  deriveStatus,
  isStored,
  isUrgent,
  parseStatus,
  type StatusContent,
  type StatusDistribution,
  type StoredStatus,
} from "./istio-status.ts";
import { readList, readNumber, readRecord, readText } from "./raw.ts";

/** An object as far as its status is concerned. */
export interface StatusObject {
  readonly kind: string;
  /** As it was read, such as "networking.istio.io/v1": that version is asked for. */
  readonly apiVersion: string;
  readonly meta: {
    readonly namespace: string;
    readonly name: string;
    readonly uid?: string;
    readonly generation?: number;
  };
}

/** The mesh at one moment; objects and distribution must be of the same snapshot. */
export interface MeshView {
  readonly objects: readonly StatusObject[];
  /** About any objects; those without a status are passed over. */
  readonly messages: readonly Message[];
  /** By objectKey; objects that no proxy uses need not be in it. */
  readonly distribution: ReadonlyMap<string, StatusDistribution>;
}

export interface StatusLimits {
  readonly writesPerSecond: number;
  readonly burst: number;
  /** The mesh is looked at once for all that happens in this time, in milliseconds. */
  readonly settleMs: number;
  /** Counts that move because proxies come and go are written when they have differed for so long, in milliseconds. */
  readonly holdMs: number;
  /** After a refusal that another attempt does not mend, in milliseconds. */
  readonly blockMs: number;
}

export const defaultStatusLimits: StatusLimits = {
  writesPerSecond: 10,
  burst: 20,
  settleMs: 500,
  holdMs: 3_000,
  blockMs: 60_000,
};

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly election: { isLeader(): boolean; onChange(listener: (isLeader: boolean) => void): unknown };
  /** Asked for when something may differ. */
  readonly readMesh: () => MeshView;
  readonly limits?: Partial<StatusLimits>;
}

export interface StatusWriter {
  start(): void;
  /** Resolves when nothing is being written any more. */
  stop(): Promise<void>;
  /** The mesh, or its distribution, may differ. */
  notify(): void;
}

/** Creates a writer that writes while `election` says that this process leads. */
export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  return new Writer(options);
}

/** An object as the API server last showed it. */
interface KnownObject {
  readonly uid: string;
  readonly generation: number | undefined;
  readonly resourceVersion: string;
  readonly stored: StoredStatus;
  /** What we last wrote, or tried to in vain: never twice, whatever the server makes of it. */
  readonly asked: string;
}

interface Subject {
  readonly ref: ObjectRef;
  readonly apiVersion: string | undefined;
  readonly uid: string | undefined;
  readonly generation: number | undefined;
  readonly messages: readonly Message[];
  readonly distribution: StatusDistribution | undefined;
}

interface Pending {
  readonly subject: Subject;
  /** By the monotonic clock. */
  readonly dueAt: number;
  readonly attempts: number;
}

const pageSize = 500;
const firstPauseMs = 1000;
const maxPauseMs = 30_000;
/** A conflict is mended by looking again; so many in a row are somebody else's fight. */
const maxConflicts = 3;

class Writer implements StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #limits: StatusLimits;
  readonly #limiter: RateLimiter;
  readonly #known = new Map<string, KnownObject>();
  readonly #pending = new Map<string, Pending>();
  readonly #listedKinds = new Set<string>();
  /** Kinds that may not be read or written, until when. */
  readonly #blockedKinds = new Map<string, number>();
  readonly #reported = new Set<string>();
  #isStarted = false;
  #isStopped = false;
  /** When the first thing happened that was not looked at yet; undefined where there is none. */
  #dirtySince: number | undefined;
  #pausedUntil = 0;
  #pauses = 0;
  #term = 0;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#limits = { ...defaultStatusLimits, ...options.limits };
    const { writesPerSecond: perSecond, burst } = this.#limits;
    this.#limiter = new RateLimiter({ clock: options.clock, perSecond, burst });
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    // Another leader may have written in the meantime.
    this.#options.election.onChange(() => {
      this.#term += 1;
      this.#known.clear();
      this.#pending.clear();
      this.#listedKinds.clear();
      this.notify();
    });
    this.notify();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.close();
    await this.#running;
  }

  notify(): void {
    this.#dirtySince ??= this.#now;
    this.#schedule();
  }

  /** When the mesh is to be looked at: a change and its way to the proxies come close together. */
  get #lookAt(): number {
    return this.#dirtySince === undefined ? Number.POSITIVE_INFINITY : this.#dirtySince + this.#limits.settleMs;
  }

  get #now(): number {
    return this.#options.clock.monotonic();
  }

  get #mayWrite(): boolean {
    return this.#isStarted && !this.#isStopped && this.#options.election.isLeader();
  }

  #schedule(): void {
    this.#timer?.close();
    this.#timer = undefined;
    if (this.#running !== undefined || !this.#mayWrite) return;
    let dueAt = this.#lookAt;
    for (const pending of this.#pending.values()) dueAt = Math.min(dueAt, pending.dueAt);
    if (dueAt === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(0, dueAt - this.#now, this.#pausedUntil - this.#now);
    this.#timer = this.#options.clock.after(delayMs, () => this.#run());
  }

  #run(): void {
    this.#timer = undefined;
    this.#running = this.#work()
      .catch((error: unknown) => this.#pause(error))
      .finally(() => {
        this.#running = undefined;
        this.#schedule();
      });
  }

  async #work(): Promise<void> {
    while (this.#mayWrite && this.#now >= this.#pausedUntil) {
      if (this.#now >= this.#lookAt) await this.#look();
      const next = [...this.#pending].find(([, { dueAt }]) => dueAt <= this.#now);
      if (next === undefined) return;
      await this.#limiter.take();
      const [key] = next;
      const pending = this.#pending.get(key);
      if (pending !== undefined) await this.#attempt(key, pending);
    }
  }

  /** Compares what is to be said with what is stored, object by object. */
  async #look(): Promise<void> {
    this.#dirtySince = undefined;
    const { objects, messages, distribution } = this.#options.readMesh();
    const subjects = listSubjects(objects, messages, distribution);
    for (const kind of new Set([...subjects.values()].map(({ ref }) => ref.kind))) await this.#listKind(kind, subjects);
    for (const [key, subject] of subjects) {
      if (!this.#isBlocked(subject.ref.kind)) this.#compare(key, subject);
    }
    for (const key of [...this.#pending.keys(), ...this.#known.keys()]) {
      if (subjects.has(key)) continue;
      this.#pending.delete(key);
      this.#known.delete(key);
    }
  }

  #compare(key: string, subject: Subject): void {
    const known = this.#known.get(key);
    const content = describe(subject, known);
    if (known !== undefined && hasAlready(known, content)) {
      this.#pending.delete(key);
      return;
    }
    const before = this.#pending.get(key);
    const delayMs = known === undefined || isUrgent(known.stored, content) ? 0 : this.#limits.holdMs;
    // What failed before waits for its time; a hold runs from when the difference began.
    const attempts = before?.attempts ?? 0;
    const dueAt = before === undefined ? this.#now + delayMs : Math.min(before.dueAt, this.#now + delayMs);
    this.#pending.set(key, { subject, attempts, dueAt: attempts > 0 ? (before?.dueAt ?? dueAt) : dueAt });
  }

  /** What is stored of a kind; objects that come later are looked at one by one. */
  async #listKind(kind: string, subjects: ReadonlyMap<string, Subject>): Promise<void> {
    const names = findOwn(istioResources, kind);
    if (names === undefined || this.#listedKinds.has(kind) || this.#isBlocked(kind)) return;
    const term = this.#term;
    const some = [...subjects.values()].find(({ ref, apiVersion }) => ref.kind === kind && apiVersion !== undefined);
    const path = `${pathOf(names, some?.apiVersion)}/${names.plural}`;
    try {
      let next = "";
      do {
        const query = { limit: String(pageSize), ...(next === "" ? {} : { continue: next }) };
        const page = readRecord(await this.#options.client.request({ path, query }));
        if (term !== this.#term) return;
        for (const item of readList(page["items"])) this.#note(kind, item);
        next = readText(readRecord(page["metadata"])["continue"]);
      } while (next !== "");
      this.#listedKinds.add(kind);
    } catch (cause) {
      // A page that came too late: objects that are not known are looked at one by one.
      if (cause instanceof KubeApiError && cause.status === 410) this.#listedKinds.add(kind);
      else if (isLasting(cause)) this.#block(kind, cause);
      else {
        this.#dirtySince ??= this.#now;
        throw cause;
      }
    }
  }

  #note(kind: string, raw: unknown, asked = ""): KnownObject {
    const metadata = readRecord(readRecord(raw)["metadata"]);
    const generation = readNumber(metadata["generation"], -1);
    const known: KnownObject = {
      uid: readText(metadata["uid"]),
      generation: generation === -1 ? undefined : generation,
      resourceVersion: readText(metadata["resourceVersion"]),
      stored: parseStatus(readRecord(raw)["status"]),
      asked,
    };
    const ref = { kind, namespace: readText(metadata["namespace"]), name: readText(metadata["name"]) };
    this.#known.set(objectKey(ref), known);
    return known;
  }

  async #attempt(key: string, pending: Pending): Promise<void> {
    const { subject } = pending;
    const term = this.#term;
    try {
      const isDone = await this.#write(key, subject);
      if (!isDone) return;
      this.#pauses = 0;
      // A later look may have asked for something else in the meantime.
      if (this.#pending.get(key)?.subject === subject) this.#pending.delete(key);
    } catch (cause) {
      // What failed for an earlier term is none of this one's business.
      if (term === this.#term) this.#handleFailure(key, pending, cause);
    }
  }

  /** False where this process does not lead any more. */
  async #write(key: string, subject: Subject): Promise<boolean> {
    const { client, clock, log } = this.#options;
    const term = this.#term;
    const path = objectPath(subject);
    let known = this.#known.get(key);
    if (known === undefined || known.uid !== (subject.uid ?? known.uid) || known.generation !== subject.generation) {
      known = this.#note(subject.ref.kind, await client.request({ path }));
      if (term !== this.#term) return false;
    }
    // Made anew: what is to be said of the new one is not known yet, and its coming is told.
    if (subject.uid !== undefined && known.uid !== subject.uid) return true;
    const content = describe(subject, known);
    if (hasAlready(known, content)) return true;
    const { uid, resourceVersion } = known;
    const body = {
      // Refused where anybody wrote since we looked, such as a newer leader.
      metadata: { uid, resourceVersion },
      status: buildStatusPatch(content, known.stored, clock.now()),
    };
    const asked = JSON.stringify(content);
    this.#known.set(key, { ...known, asked });
    if (!this.#mayWrite) return false;
    const contentType = "application/merge-patch+json";
    const written = await client.request({ method: "PATCH", path: `${path}/status`, body, contentType });
    if (term === this.#term) this.#note(subject.ref.kind, written, asked);
    log.debug("wrote a status", { object: formatObjectRef(subject.ref), reason: content.reason });
    return true;
  }

  #handleFailure(key: string, { subject, attempts }: Pending, cause: unknown): void {
    const { log } = this.#options;
    const status = cause instanceof KubeApiError ? cause.status : 0;
    const retry = (delayMs: number): void => {
      this.#pending.set(key, { subject, attempts: attempts + 1, dueAt: this.#now + delayMs });
    };
    if (status === 400 || status === 422) {
      // Not asked for again until there is something else to say.
      this.#pending.delete(key);
      log.warn("a status was refused", { object: formatObjectRef(subject.ref), error: cause });
      return;
    }
    this.#known.delete(key);
    if (status === 404) {
      // Deleted meanwhile; if it was not, its kind has no status that can be written.
      if (attempts === 0) retry(this.#limits.settleMs);
      else retry(this.#limits.blockMs);
    } else if (status === 409) retry(attempts < maxConflicts ? 0 : this.#limits.settleMs * 2 ** Math.min(attempts, 6));
    else if (isLasting(cause)) this.#block(subject.ref.kind, cause);
    else {
      retry(0);
      this.#pause(cause);
    }
  }

  #isBlocked(kind: string): boolean {
    return (this.#blockedKinds.get(kind) ?? 0) > this.#now;
  }

  /** The kind as a whole will not do: missing rights, or no such kind. */
  #block(kind: string, error: unknown): void {
    const { clock, log } = this.#options;
    this.#blockedKinds.set(kind, this.#now + this.#limits.blockMs);
    for (const [key, { subject }] of this.#pending) if (subject.ref.kind === kind) this.#pending.delete(key);
    const report = this.#reported.has(kind) ? log.debug : log.warn;
    this.#reported.add(kind);
    report("statuses of a kind cannot be written", { kind, error });
    clock.after(this.#limits.blockMs, () => this.notify());
  }

  /** The server as a whole will not do: all wait, longer each time. */
  #pause(cause: unknown): void {
    const { log } = this.#options;
    const told = cause instanceof KubeApiError ? cause.retryAfterMs : undefined;
    const delayMs = told ?? Math.min(firstPauseMs * 2 ** Math.min(this.#pauses, 10), maxPauseMs);
    const report = this.#pauses === 0 ? log.warn : log.debug;
    report("statuses cannot be written for now", { error: cause, retryMs: delayMs });
    this.#pauses += 1;
    this.#pausedUntil = this.#now + delayMs;
  }
}

/** Objects to be spoken of: those of the mesh, and those that have errors and never were in it. */
function listSubjects(
  objects: readonly StatusObject[],
  messages: readonly Message[],
  distribution: ReadonlyMap<string, StatusDistribution>,
): ReadonlyMap<string, Subject> {
  const byObject = Map.groupBy(messages, ({ object }) => objectKey(object));
  const subjects = new Map<string, Subject>();
  for (const { kind, apiVersion, meta } of objects) {
    if (findOwn(istioResources, kind) === undefined) continue;
    const { namespace, name, uid, generation } = meta;
    const ref = { kind, namespace, name };
    const key = objectKey(ref);
    const common = { messages: byObject.get(key) ?? [], distribution: distribution.get(key) };
    subjects.set(key, { ref, apiVersion, uid, generation, ...common });
  }
  for (const [key, about] of byObject) {
    const [first] = about;
    if (first === undefined || subjects.has(key) || findOwn(istioResources, first.object.kind) === undefined) continue;
    if (!about.some(({ level }) => level === "error")) continue;
    const unread = { apiVersion: undefined, uid: undefined, generation: undefined, distribution: undefined };
    subjects.set(key, { ref: first.object, messages: about, ...unread });
  }
  return subjects;
}

/** Errors are about the object as it is stored; all else is about the form that the mesh has taken in. */
function describe({ generation, messages, distribution }: Subject, known: KnownObject | undefined): StatusContent {
  const isAboutStored = messages.some(({ level }) => level === "error");
  return deriveStatus(isAboutStored ? (known?.generation ?? generation) : generation, messages, distribution);
}

function hasAlready({ stored, asked }: KnownObject, content: StatusContent): boolean {
  return isStored(stored, content) || asked === JSON.stringify(content);
}

function pathOf(names: ResourceNames, apiVersion: string | undefined): string {
  const version = apiVersion?.slice(apiVersion.indexOf("/") + 1) ?? names.versions[0] ?? "v1";
  return groupVersionPath(names.group, version);
}

function objectPath({ ref, apiVersion }: Subject): string {
  const names = findOwn(istioResources, ref.kind);
  if (names === undefined) throw new Error(`${ref.kind} has no status`);
  const [namespace, name] = [encodeURIComponent(ref.namespace), encodeURIComponent(ref.name)];
  return `${pathOf(names, apiVersion)}/namespaces/${namespace}/${names.plural}/${name}`;
}

/** Neither time nor another look mends it: no right to it, or no such kind. */
function isLasting(cause: unknown): boolean {
  return cause instanceof KubeApiError && [401, 403, 404, 405].includes(cause.status);
}
