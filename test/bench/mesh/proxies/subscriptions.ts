/**
 * The subscriptions of a sidecar on one stream: clusters and listeners as wildcards, load assignments and routes by the
 * names that those lead to. What to send is all it says; `SimulatedProxy` sends it.
 */
import { Holding } from "./holding.ts";
import { internNames, type NameList } from "./name-list.ts";
import { encodeDeltaRequest, encodeSotwRequest } from "./requests.ts";
import type { ResponseDigest } from "./response-digest.ts";
import { type ShortType, shortTypes, type Variant } from "./types.ts";

interface TypeState {
  holding: Holding;
  version: string;
  nonce: string;
  /** Undefined for everything. */
  names: NameList | undefined;
  isAsked: boolean;
  isAnswered: boolean;
}

const noNames = internNames([]);
/** What leads to the names of which kind. */
const leads: Readonly<Partial<Record<ShortType, ShortType>>> = { cds: "eds", lds: "rds" };

export class Subscriptions {
  readonly #variant: Variant;
  readonly #node: Buffer;
  readonly #send: (parts: readonly Buffer[]) => void;
  readonly #states: Record<ShortType, TypeState>;
  #isNodeSent = false;

  constructor(variant: Variant, node: Buffer, send: (parts: readonly Buffer[]) => void) {
    this.#variant = variant;
    this.#node = node;
    this.#send = send;
    const create = (names: NameList | undefined): TypeState => ({
      ...{ holding: Holding.empty, version: "", nonce: "", names, isAsked: false, isAnswered: false },
    });
    this.#states = { cds: create(undefined), eds: create(noNames), lds: create(undefined), rds: create(noNames) };
  }

  /** A new stream: asks for clusters, or for everything that was asked for on the stream before. */
  open(): void {
    this.#isNodeSent = false;
    const before = shortTypes.filter((type) => this.#states[type].isAsked);
    for (const type of shortTypes) Object.assign(this.#states[type], { nonce: "", isAsked: false, isAnswered: false });
    for (const type of before.length === 0 ? (["cds"] as const) : before) this.#ask(type);
  }

  /** True where everything that the proxy has to wait for has come on this stream. */
  isConfigured(): boolean {
    const { cds, eds, lds, rds } = this.#states;
    const isWhole = ({ isAnswered, names, isAsked }: TypeState): boolean =>
      isAnswered || (isAsked && names === noNames);
    // A server need not repeat clusters and listeners that the proxy says it has.
    const hasLists = [cds, lds].every(({ isAnswered, version }) => isAnswered || version !== "");
    return hasLists && isWhole(eds) && isWhole(rds);
  }

  /** Takes a response, acknowledges it and asks for what it leads to. */
  receive(digest: ResponseDigest, nonce: string): void {
    const { type } = digest;
    const state = this.#states[type];
    state.holding = state.holding.after(digest, this.#variant === "sotw");
    Object.assign(state, { version: digest.version, nonce, isAnswered: true });
    this.#acknowledge(type);
    const led = leads[type];
    if (led !== undefined) this.#follow(led, state.holding.refs(), digest);
    if (type === "cds" && this.#states.eds.names === noNames) this.#askOnce("lds");
    if (type === "eds") this.#askOnce("lds");
  }

  /** Asks for other names where they changed; a proxy in the state of the world asks again for clusters that changed. */
  #follow(type: ShortType, names: NameList, { resourceCount }: ResponseDigest): void {
    const state = this.#states[type];
    const before = state.names ?? noNames;
    state.names = names;
    if (!state.isAsked) {
      this.#ask(type);
      return;
    }
    if (this.#variant === "delta") {
      if (names === before) return;
      const { added, removed } = before.changesTo(names);
      this.#sendDelta(type, { nonce: "", subscribe: added, unsubscribe: removed });
    } else if (names !== before || (type === "eds" && resourceCount > 0 && state.nonce !== "")) {
      this.#acknowledge(type);
    }
  }

  #askOnce(type: ShortType): void {
    if (!this.#states[type].isAsked) this.#ask(type);
  }

  /** The first request for a kind on a stream. */
  #ask(type: ShortType): void {
    const state = this.#states[type];
    state.isAsked = true;
    // Nothing is what a request for load assignments or routes without names would ask for.
    if (state.names === noNames) return;
    if (this.#variant === "sotw") {
      this.#acknowledge(type);
      return;
    }
    this.#sendDelta(type, { nonce: "", subscribe: state.names, versions: state.holding.encodedVersions() });
  }

  #acknowledge(type: ShortType): void {
    const { version, nonce, names } = this.#states[type];
    if (this.#variant === "delta") this.#sendDelta(type, { nonce });
    else this.#send(encodeSotwRequest({ type, node: this.#takeNode(), version, nonce, names }));
  }

  #sendDelta(
    type: ShortType,
    request: {
      readonly nonce: string;
      readonly subscribe?: NameList | undefined;
      readonly unsubscribe?: NameList;
      readonly versions?: Buffer;
    },
  ): void {
    const { nonce, subscribe, unsubscribe, versions } = request;
    this.#send(encodeDeltaRequest({ type, node: this.#takeNode(), nonce, subscribe, unsubscribe, versions }));
  }

  #takeNode(): Buffer | undefined {
    if (this.#isNodeSent) return undefined;
    this.#isNodeSent = true;
    return this.#node;
  }
}
