/** The subscription of one type on a client's streams: performs what the reducers say. */
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "@meltemi/protos/envoy/service/discovery/v3";
import type { Clock } from "../lib/clock.ts";
import { Turns } from "../lib/turns.ts";
import { initialDelta, reduceDelta } from "./delta-subscription.ts";
import { nothingEarlier, type Response, readUpdateInTurns, UpdateReader } from "./read-response.ts";
import type { ResourceType } from "./resource-types.ts";
import type { ReceivedResource, ResourceHandler, ResourceUpdate } from "./resource-update.ts";
import { initialSotw, reduceSotw } from "./sotw-subscription.ts";
import { describeRejections, type Rejection, type SubscriptionEvent, type Wanted } from "./subscription-state.ts";

export type AnyRequest = Omit<DiscoveryRequest & DeltaDiscoveryRequest, "node" | "type_url">;

type Reduce = (event: SubscriptionEvent) => readonly AnyRequest[];

export class TypeSubscription {
  readonly type: ResourceType;
  readonly #handler: ResourceHandler;
  readonly #isDelta: boolean;
  readonly #clock: Clock;
  readonly #reduce: Reduce;
  /** Names of a whole set that were taken, to see what a state of the world leaves out. */
  readonly #known = new Set<string>();

  #last: readonly ReceivedResource[] = [];

  constructor(
    type: ResourceType,
    handler: ResourceHandler,
    { isDelta, clock }: { readonly isDelta: boolean; readonly clock: Clock },
  ) {
    this.type = type;
    this.#handler = handler;
    this.#clock = clock;
    this.#isDelta = isDelta;
    this.#reduce = isDelta ? keepDelta() : keepSotw();
  }

  connected(): readonly AnyRequest[] {
    return this.#reduce({ kind: "connected" });
  }

  disconnected(): void {
    this.#reduce({ kind: "disconnected" });
  }

  failed(): void {
    this.#handler.failed?.();
  }

  want(wanted: Wanted): readonly AnyRequest[] {
    const requests = this.#reduce({ kind: "want", wanted });
    this.#handler.attempted?.();
    return requests;
  }

  /** Tries a response, and answers it. Never rejects. */
  async handle(response: Response): Promise<readonly AnyRequest[]> {
    this.#reduce({ kind: "response", nonce: response.nonce });
    const isWholeState = this.type.isWholeSet && !this.#isDelta;
    const earlier = isWholeState ? { known: this.#known, resources: this.#last } : nothingEarlier;
    const reader = new UpdateReader(this.type, response, earlier);
    const update = await readUpdateInTurns(reader, response.resources, new Turns(this.#clock));
    if (isWholeState) this.#last = update.resources;
    const unread = update.unreadable.map(({ name, place, reason }) => ({
      name,
      resource: name === undefined || name === "" ? place : `${this.type.shortName} ${name}`,
      reason,
    }));
    const rejections = [...(await this.#apply(update)), ...unread];
    const refused = new Set(rejections.map(({ resource }) => resource));
    const accepted = update.resources.filter(({ name }) => !refused.has(`${this.type.shortName} ${name}`));
    for (const name of update.removed) this.#known.delete(name);
    if (this.type.isWholeSet) for (const { name } of accepted) this.#known.add(name);
    const error = describeRejections(rejections);
    this.#handler.settled?.(response.version, error !== undefined);
    return this.#reduce({
      kind: "settled",
      version: response.version,
      accepted: new Map(accepted.map(({ name, version }) => [name, version])),
      removed: update.removed,
      error,
    });
  }

  /** A fault of ours in one response must not end the stream of all. */
  async #apply(update: ResourceUpdate): Promise<readonly Rejection[]> {
    try {
      return await this.#handler.apply(update);
    } catch (cause: unknown) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      return update.resources.map(({ name }) => ({ resource: `${this.type.shortName} ${name}`, reason }));
    }
  }
}

function keepSotw(): Reduce {
  let state = initialSotw;
  return (event) => {
    const [next, requests] = reduceSotw(state, event);
    state = next;
    return requests;
  };
}

function keepDelta(): Reduce {
  let state = initialDelta;
  return (event) => {
    const [next, requests] = reduceDelta(state, event);
    state = next;
    return requests;
  };
}
