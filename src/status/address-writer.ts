/** Writes the addresses of hosts into the statuses of their ServiceEntries, while this process leads. */
import type { AssignedAddress } from "../api/object-status.ts";
import { groupVersionPath, istioResources } from "../api/resource-names.ts";
import { KubeApiError, type KubeClient } from "../kube/kube-client.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { readList, readRecord, readText } from "./raw.ts";

/** A status and the addresses that it is to have. */
export interface AddressWrite {
  readonly entry: {
    /** As it was read, such as "networking.istio.io/v1": that version is asked for. */
    readonly apiVersion: string;
    readonly meta: { readonly namespace: string; readonly name: string; readonly uid?: string };
    readonly status?: { readonly addresses: readonly AssignedAddress[] };
  };
  readonly addresses: readonly AssignedAddress[];
}

export interface AddressWriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly election: { isLeader(): boolean; onChange(listener: (isLeader: boolean) => void): unknown };
  /** What differs; asked for when the mesh may have changed, and again after each round. */
  readonly listWrites: () => readonly AddressWrite[];
}

export interface AddressWriter {
  start(): void;
  /** Resolves when nothing is being written any more. */
  stop(): Promise<void>;
  /** The mesh may differ. */
  notify(): void;
}

/** Changes of one moment are looked at once; what was written comes back by a watch before the next look. */
const settleMs = 500;
const firstPauseMs = 1_000;
const longestPauseMs = 60_000;

/** Creates a writer; nothing happens before start(). */
export function createAddressWriter(options: AddressWriterOptions): AddressWriter {
  return new Writer(options);
}

class Writer implements AddressWriter {
  readonly #options: AddressWriterOptions;
  #isRunning = false;
  #isDirty = false;
  #failures = 0;
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;

  constructor(options: AddressWriterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#isRunning = true;
    this.#options.election.onChange(() => this.notify());
    this.notify();
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#timer?.close();
    await this.#round;
  }

  notify(): void {
    this.#isDirty = true;
    this.#schedule(settleMs);
  }

  get #mayWrite(): boolean {
    return this.#isRunning && this.#options.election.isLeader();
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== undefined || this.#round !== undefined || !this.#isDirty || !this.#mayWrite) return;
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#isDirty = false;
      this.#round = this.#writeAll().finally(() => {
        this.#round = undefined;
        this.#schedule(this.#failures === 0 ? settleMs : pauseAfter(this.#failures));
      });
    });
  }

  /** One failure does not hold up the others; all are looked at again after a pause. */
  async #writeAll(): Promise<void> {
    let hasFailed = false;
    for (const write of this.#options.listWrites()) {
      if (!this.#mayWrite) return;
      try {
        await this.#write(write);
      } catch (error) {
        hasFailed = true;
        const { namespace, name } = write.entry.meta;
        const report = this.#failures === 0 ? this.#options.log.warn : this.#options.log.debug;
        report("addresses of a ServiceEntry cannot be written", { object: `${namespace}/${name}`, error });
      }
    }
    this.#failures = hasFailed ? this.#failures + 1 : 0;
    if (hasFailed) this.#isDirty = true;
  }

  async #write({ entry, addresses }: AddressWrite): Promise<void> {
    const { client, log } = this.#options;
    const path = pathOf(entry);
    const stored = await readStored(client, path);
    // Gone, made anew or written to since the mesh was read: the watch tells, and then everything is looked at again.
    if (stored === undefined || stored.uid !== (entry.meta.uid ?? stored.uid)) return;
    if (!hasSameAddresses(stored.addresses, entry.status?.addresses ?? []) || !this.#mayWrite) return;
    const { uid, resourceVersion } = stored;
    await client.request({
      method: "PATCH",
      path: `${path}/status`,
      // Refused where anybody wrote since we looked, such as a newer leader. Null takes the field away.
      body: { metadata: { uid, resourceVersion }, status: { addresses: addresses.length === 0 ? null : addresses } },
      contentType: "application/merge-patch+json",
    });
    log.debug("wrote addresses", { object: `${entry.meta.namespace}/${entry.meta.name}`, count: addresses.length });
  }
}

interface Stored {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly addresses: readonly AssignedAddress[];
}

async function readStored(client: KubeClient, path: string): Promise<Stored | undefined> {
  try {
    const raw = readRecord(await client.request({ path }));
    const metadata = readRecord(raw["metadata"]);
    const addresses = readList(readRecord(raw["status"])["addresses"]).map((each) => {
      const { host, value } = readRecord(each);
      return { host: readText(host), value: readText(value) };
    });
    return { uid: readText(metadata["uid"]), resourceVersion: readText(metadata["resourceVersion"]), addresses };
  } catch (cause) {
    if (cause instanceof KubeApiError && cause.status === 404) return undefined;
    throw cause;
  }
}

function hasSameAddresses(a: readonly AssignedAddress[], b: readonly AssignedAddress[]): boolean {
  return (
    a.length === b.length && a.every(({ host, value }, index) => host === b[index]?.host && value === b[index].value)
  );
}

function pathOf({ apiVersion, meta }: AddressWrite["entry"]): string {
  const { group, plural } = istioResources.ServiceEntry;
  const [namespace, name] = [encodeURIComponent(meta.namespace), encodeURIComponent(meta.name)];
  const version = apiVersion.slice(apiVersion.indexOf("/") + 1);
  return `${groupVersionPath(group, version)}/namespaces/${namespace}/${plural}/${name}`;
}

function pauseAfter(failures: number): number {
  return Math.min(firstPauseMs * 2 ** (failures - 1), longestPauseMs);
}
