/**
 * All resources of all connected proxies, by scope. A change only marks what it can touch; resources are made when the
 * first stream asks, and the other streams of the scope find them made.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import type { VerifiedIdentity } from "../model/verified-identity.ts";
import type { Snapshot, SnapshotChange } from "../snapshot/snapshot.ts";
import type { Generators } from "../translate/generators.ts";
import type { ScopeKey } from "../translate/scope.ts";
import { listTouched, type Touched } from "./dependency-table.ts";
import type { EncodedResource } from "./encode.ts";
import { ObjectGenerations } from "./object-generations.ts";
import type { ReportFailure } from "./part-cache.ts";
import { resourceTypes, type XdsType } from "./resource-types.ts";
import { ListenerEntry, type Resolution, ScopeEntry, type Wanted, WorkloadEntry } from "./scope-cache.ts";
import { noSecretAccess, type ReportSecret, type SecretAccess, SecretAnswers } from "./secret-answers.ts";

/** Who is behind the proxy that resources are for, beyond what it claims. */
export interface ProxyClient {
  /** Undefined where nothing was proven: then there are no secrets. */
  readonly identity: VerifiedIdentity | undefined;
  /** Called when the proxy may get other secrets, though the mesh is the same. */
  readonly onChange: () => void;
  readonly report: ReportSecret;
}

const unknownClient: ProxyClient = { identity: undefined, onChange: () => undefined, report: () => undefined };

export interface ResourceStoreOptions {
  readonly generators: Generators;
  readonly clock: Clock;
  readonly report: ReportFailure;
  /** Who may read the Secrets of a namespace; nobody where not given. */
  readonly secretAccess?: SecretAccess;
  /** How long the resources of a scope outlive its last proxy, in milliseconds: a proxy that reconnects finds them. */
  readonly lingerMs: number;
}

type Keys = ReturnType<Generators["deriveKeys"]>;

/** What one proxy holds of the store. */
export interface ProxyResources {
  /** What a subscription is to have now; undefined while it cannot be told because a generator failed. */
  resolve(type: XdsType, wanted: Wanted): Resolution | undefined;
  release(): void;
}

export class ResourceStore {
  readonly generations = new ObjectGenerations();
  readonly #options: ResourceStoreOptions;
  readonly #scopes = new Map<string, ScopeEntry>();
  readonly #listeners = new Map<string, ListenerEntry>();
  readonly #workloads = new Map<string, WorkloadEntry>();
  readonly #handles = new Set<ProxyHandle>();
  readonly #timers = new Set<Timer>();
  #snapshot: Snapshot | undefined;

  constructor(options: ResourceStoreOptions) {
    this.#options = options;
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** Takes a change in. Nothing is made here but keys: of proxies that the change may have moved to another scope. */
  apply(change: SnapshotChange): void {
    const { after } = change;
    this.#snapshot = after;
    this.generations.note(change);
    const plain = { sidecar: listTouched(change, "sidecar", false), router: listTouched(change, "router", false) };
    const patched = { sidecar: listTouched(change, "sidecar"), router: listTouched(change, "router") };
    const touchedOf = ({ patches }: { readonly patches?: unknown }, { proxyType }: ScopeKey): Touched =>
      (patches === undefined ? plain : patched)[proxyType];
    for (const entry of this.#scopes.values()) entry.update(after, touchedOf(entry.key, entry.key));
    for (const entry of this.#listeners.values()) entry.update(touchedOf(entry.key, entry.key.scope));
    for (const entry of this.#workloads.values()) entry.update(touchedOf(entry.key, entry.key.listener.scope));
    const mayMove = createMoveCheck(change);
    for (const handle of this.#handles) if (mayMove(handle.proxy)) this.#rekey(handle);
  }

  /** Marks everything, as if all of the mesh had changed; equal results are still recognised as equal. */
  invalidateAll(): void {
    const touched: Touched = { types: new Set(resourceTypes.map(({ type }) => type)), endpoints: new Set() };
    const { snapshot } = this;
    if (snapshot === undefined) return;
    for (const entry of this.#scopes.values()) entry.update(snapshot, touched);
    for (const entry of this.#listeners.values()) entry.update(touched);
    for (const entry of this.#workloads.values()) entry.update(touched);
  }

  /** Resources for a proxy. Throws where its keys cannot be derived or no snapshot was applied yet. */
  acquire(proxy: MeshProxy, client = unknownClient): ProxyResources {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) throw new Error("no snapshot yet");
    const keys = this.#options.generators.deriveKeys(snapshot, proxy);
    const { clock, secretAccess } = this.#options;
    const secrets = new SecretAnswers({ proxy, ...client, access: secretAccess ?? noSecretAccess, clock });
    const entry = this.#hold(keys, snapshot, proxy);
    const onRelease = (released: ProxyHandle): void => {
      secrets.close();
      this.#handles.delete(released);
      this.#drop(released.entry);
    };
    const handle = new ProxyHandle({ proxy, secrets, entry, onRelease });
    this.#handles.add(handle);
    return handle;
  }

  /** Every resource that is kept encoded. */
  *listResources(): Iterable<EncodedResource> {
    for (const entry of this.#scopes.values()) yield* entry.list();
    for (const entry of this.#listeners.values()) yield* entry.list();
    for (const entry of this.#workloads.values()) yield* entry.list();
  }

  /** Numbers of live scopes, listener keys and workload keys. */
  count(): { readonly scopes: number; readonly listeners: number; readonly workloads: number } {
    return { scopes: this.#scopes.size, listeners: this.#listeners.size, workloads: this.#workloads.size };
  }

  close(): void {
    for (const timer of this.#timers) timer.close();
    this.#timers.clear();
  }

  #rekey(handle: ProxyHandle): void {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return;
    const keys = this.#options.generators.deriveKeys(snapshot, handle.proxy);
    if (workloadId(keys, handle.proxy) === handle.entryId) return;
    const before = handle.entry;
    handle.move(this.#hold(keys, snapshot, handle.proxy));
    this.#drop(before);
  }

  #hold(keys: Keys, snapshot: Snapshot, proxy: MeshProxy): HeldEntry {
    const inputs = this.#options;
    const createScope = (): ScopeEntry => new ScopeEntry(keys.scope, snapshot, inputs);
    const scope = findOrCreate(this.#scopes, keys.scope.id, { isUsable: () => true, create: createScope });
    const listenerId = `${keys.listener.id}\n${keys.scope.id}`;
    // An entry that lingers may still point at one that is already gone, which no change reaches any more.
    const listener = findOrCreate(this.#listeners, listenerId, {
      isUsable: (entry) => entry.scope === scope,
      create: () => new ListenerEntry(keys.listener, scope, inputs),
    });
    const id = workloadId(keys, proxy);
    const isGrpc = proxy.generator === "grpc";
    const workload = findOrCreate(this.#workloads, id, {
      isUsable: (entry) => entry.listener === listener,
      create: () => new WorkloadEntry(keys.workload, listener, { ...inputs, isGrpc }),
    });
    for (const entry of [scope, listener, workload]) entry.holders += 1;
    return { id, workload, listenerId };
  }

  #drop({ id, workload, listenerId }: HeldEntry): void {
    const { listener } = workload;
    const { scope } = listener;
    for (const entry of [scope, listener, workload]) entry.holders -= 1;
    if (workload.holders > 0) return;
    const timer = this.#options.clock.after(this.#options.lingerMs, () => {
      this.#timers.delete(timer);
      if (workload.holders === 0 && this.#workloads.get(id) === workload) this.#workloads.delete(id);
      if (listener.holders === 0 && this.#listeners.get(listenerId) === listener) this.#listeners.delete(listenerId);
      if (scope.holders === 0 && this.#scopes.get(scope.key.id) === scope) this.#scopes.delete(scope.key.id);
    });
    this.#timers.add(timer);
  }
}

interface HeldEntry {
  readonly id: string;
  readonly listenerId: string;
  readonly workload: WorkloadEntry;
}

interface HandleParts {
  readonly proxy: MeshProxy;
  readonly secrets: SecretAnswers;
  readonly entry: HeldEntry;
  readonly onRelease: (handle: ProxyHandle) => void;
}

class ProxyHandle implements ProxyResources {
  readonly proxy: MeshProxy;
  readonly #secrets: SecretAnswers;
  readonly #onRelease: (handle: ProxyHandle) => void;
  #entry: HeldEntry;
  #isReleased = false;

  constructor({ proxy, secrets, entry, onRelease }: HandleParts) {
    this.proxy = proxy;
    this.#secrets = secrets;
    this.#entry = entry;
    this.#onRelease = onRelease;
  }

  get entry(): HeldEntry {
    return this.#entry;
  }

  get entryId(): string {
    return this.#entry.id;
  }

  move(entry: HeldEntry): void {
    this.#entry = entry;
  }

  resolve(type: XdsType, wanted: Wanted): Resolution | undefined {
    if (type === "sds") return this.#secrets.resolve(this.#entry.workload.listener.scope.view, wanted);
    return this.#entry.workload.resolve(type, wanted);
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#onRelease(this);
  }
}

function workloadId(keys: Keys, proxy: MeshProxy): string {
  return [keys.workload.id, keys.listener.id, keys.scope.id, proxy.generator === "grpc" ? "grpc" : ""].join("\n");
}

/**
 * Whether a change can give a proxy another key. Keys depend on everything but the endpoints of other workloads, and
 * endpoint changes are the frequent ones.
 */
function createMoveCheck({ before, after, kinds, services, endpoints }: SnapshotChange): (proxy: MeshProxy) => boolean {
  const isEndpointsOnly =
    before !== undefined && services.size === 0 && [...kinds].every((kind) => endpointKinds.has(kind));
  if (!isEndpointsOnly || before.workloads !== after.workloads) return () => true;
  const moved = new Set<string>();
  for (const key of endpoints) {
    const slash = key.indexOf("/");
    const [namespace, hostname] = [key.slice(0, slash), key.slice(slash + 1)];
    const earlier = new Set(before.endpoints.list(hostname, namespace));
    const later = new Set(after.endpoints.list(hostname, namespace));
    for (const endpoint of earlier.symmetricDifference(later)) {
      moved.add(endpoint.address);
      for (const address of endpoint.additionalAddresses) moved.add(address);
    }
  }
  return ({ addresses }) => addresses.some((address) => moved.has(address));
}

// Secrets and ConfigMaps reach proxies by no key: what settings of the mesh change goes by the name of MeshConfig.
const endpointKinds: ReadonlySet<string> = new Set(["EndpointSlice", "Endpoints", "Secret", "ConfigMap"]);

function findOrCreate<Value>(
  map: Map<string, Value>,
  id: string,
  { isUsable, create }: { readonly isUsable: (value: Value) => boolean; readonly create: () => Value },
): Value {
  const known = map.get(id);
  if (known !== undefined && isUsable(known)) return known;
  const created = create();
  map.set(id, created);
  return created;
}
