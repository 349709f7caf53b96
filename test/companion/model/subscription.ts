/** What a proxy wants of one kind, has been sent and has acknowledged, over one stream. */
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "@meltemi/protos/envoy/service/discovery/v3";

export type Heard = DiscoveryRequest & DeltaDiscoveryRequest;

export interface Wanted {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly version: string;
}

export interface News {
  readonly sent: readonly Wanted[];
  /** Names that are gone; said in delta alone. */
  readonly removed: readonly string[];
}

type Resources = ReadonlyMap<string, Wanted>;

export class Subscription {
  readonly #isWhole: boolean;
  readonly #isDelta: boolean;
  readonly #names = new Set<string>();
  /** Versions by name, as last sent. */
  readonly #sent = new Map<string, string>();
  #acknowledged: ReadonlyMap<string, string> = new Map();
  /** Of the last response. */
  #nonce = "";
  /** The last response has no answer yet. */
  #isOpen = false;
  #isFirst = true;
  #isDue = false;

  constructor({ isWhole, isDelta }: { readonly isWhole: boolean; readonly isDelta: boolean }) {
    this.#isWhole = isWhole;
    this.#isDelta = isDelta;
  }

  /** Takes a request in. The result is what the proxy refuses, where it does. */
  hear(request: Heard, resources: Resources): string | undefined {
    if (this.#isDelta) this.#hearDelta(request, resources);
    // What answers an earlier response is out of date.
    else if ((request.response_nonce ?? "") === this.#nonce || this.#isFirst) this.#hearNames(request);
    const isAnswer = this.#isOpen && request.response_nonce === this.#nonce;
    this.#isFirst = false;
    if (!isAnswer) return undefined;
    this.#isOpen = false;
    if (request.error_detail !== undefined) return request.error_detail.message ?? "";
    this.#acknowledged = new Map(this.#sent);
    return undefined;
  }

  /** The next request is to be answered with these names in any case. */
  forget(names: readonly string[]): void {
    for (const name of names) this.#sent.delete(name);
  }

  /** What is to be sent now; undefined where nothing is, or where the answer to the last is still due. */
  take(nonce: string, resources: Resources): News | undefined {
    if (this.#isOpen) return undefined;
    const wanted = [...resources.values()].filter(({ name }) => this.#isWhole || this.#names.has(name));
    const changed = wanted.filter(({ name, version }) => this.#sent.get(name) !== version);
    const removed = [...this.#sent.keys()].filter((name) => !resources.has(name));
    const isSaid = this.#isDelta || this.#isWhole;
    if (changed.length === 0 && !this.#isDue && (removed.length === 0 || !isSaid)) return undefined;
    this.#isDue = false;
    this.#nonce = nonce;
    this.#isOpen = true;
    for (const name of removed) this.#sent.delete(name);
    for (const { name, version } of changed) this.#sent.set(name, version);
    return { sent: this.#isWhole && !this.#isDelta ? wanted : changed, removed };
  }

  hasAcknowledged(names: readonly string[], resources: Resources): boolean {
    if (this.#isOpen) return false;
    if (this.#isWhole && [...this.#acknowledged.keys()].some((name) => !resources.has(name))) return false;
    return names.every((name) => {
      const version = resources.get(name)?.version;
      return version !== undefined && this.#acknowledged.get(name) === version;
    });
  }

  #hearNames({ resource_names: names = [], response_nonce: nonce = "" }: Heard): void {
    if (this.#isWhole) {
      // A new stream says nothing of what it has: all is sent again.
      this.#isDue ||= nonce === "";
      return;
    }
    for (const name of names) {
      if (!this.#names.has(name)) this.#sent.delete(name);
      this.#names.add(name);
    }
    for (const name of [...this.#names]) {
      if (names.includes(name)) continue;
      this.#names.delete(name);
      this.#sent.delete(name);
    }
  }

  #hearDelta(request: Heard, resources: Resources): void {
    for (const name of request.resource_names_subscribe ?? []) {
      this.#names.add(name);
      if (!this.#isFirst) this.#sent.delete(name);
    }
    for (const name of request.resource_names_unsubscribe ?? []) {
      this.#names.delete(name);
      this.#sent.delete(name);
    }
    if (!this.#isFirst) return;
    for (const [name, version] of Object.entries(request.initial_resource_versions ?? {}))
      this.#sent.set(name, version);
    // What the proxy has already needs no acknowledgement.
    this.#acknowledged = new Map([...this.#sent].filter(([name, version]) => resources.get(name)?.version === version));
  }
}
