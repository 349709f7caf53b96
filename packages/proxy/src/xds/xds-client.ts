/**
 * One stream to a control plane, kept up for as long as the client lives: asked for anew after a jittered wait, with
 * everything that is there announced again. What was received stays in use through any loss of it.
 */
import { concatBytes, encode, lengthDelimited, typeUrl } from "@meltemi/protos";
import type { Node } from "@meltemi/protos/envoy/config/core/v3";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { LongWork } from "../lib/long-work.ts";
import type { Stats } from "../lib/stats.ts";
import { Turns } from "../lib/turns.ts";
import { createBackOff, reconnectDelays } from "./back-off.ts";
import { type Response, readResponse } from "./read-response.ts";
import type { ResourceType } from "./resource-types.ts";
import type { ResourceHandler, Subscription } from "./resource-update.ts";
import { type AnyRequest, TypeSubscription } from "./type-subscription.ts";

/** A bidirectional gRPC stream of encoded messages. */
export interface MessageStream {
  send(message: Uint8Array): void;
  /** Resolves when what was sent is on its way; undefined where it is. */
  readonly whenSent: Promise<void> | undefined;
  /** Goes on after `onMessage` asked for a pause. */
  resume(): void;
  close(): void;
}

export interface MessageStreamEvents {
  /** A message of so many bytes has begun to come. */
  onLength(length: number): void;
  /** A message, in pieces of any size that belong to whoever is told. False asks for a pause. */
  onMessage(pieces: readonly Uint8Array[]): boolean;
  /** The stream is over, with what the server or the connection said. Comes once, not after `close`. */
  onEnd(reason: string): void;
}

export type OpenStream = (method: string, events: MessageStreamEvents) => MessageStream;

export interface XdsClientOptions {
  readonly open: OpenStream;
  readonly method: string;
  readonly isDelta: boolean;
  readonly node: Node;
  /** Only the first request of a stream says who asks. */
  readonly sendsNodeOnce: boolean;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** "control_plane." */
  readonly stats: Stats;
  readonly longWork?: LongWork | undefined;
}

/** Bytes from which on a response is long work. */
const longMessage = 256 * 1024;
/** Responses that may wait to be tried before the server has to pause. */
const longestQueue = 8;
/** Numbers of the field `node` in a DiscoveryRequest and in a DeltaDiscoveryRequest. */
const sotwNodeField = 2;
const deltaNodeField = 1;

export class XdsClient {
  readonly #options: XdsClientOptions;
  readonly #subscriptions = new Map<string, TypeSubscription>();
  readonly #backOff;
  /** Messages in pieces. */
  readonly #queue: (readonly Uint8Array[])[] = [];
  /** The node as a field of a request: it lists a hundred extensions, and goes along with every answer. */
  readonly #nodeField: Uint8Array;
  /** For as long as the client lives: a server that sends without end must not begin a new slice with each message. */
  readonly #turns: Turns;
  #stream: MessageStream | undefined;
  #hasNode = false;
  #isWorking = false;
  /** A long message has begun to come. */
  #isReceiving = false;
  #state: "new" | "started" | "closed" = "new";
  #retry: Timer | undefined;

  constructor(options: XdsClientOptions) {
    this.#options = options;
    this.#turns = new Turns(options.clock);
    const node = encode("envoy.config.core.v3.Node", options.node);
    this.#nodeField = lengthDelimited(options.isDelta ? deltaNodeField : sotwNodeField, node);
    this.#backOff = createBackOff({ ...reconnectDelays, random: options.random });
    options.stats.gauge("connected_state").set(0);
  }

  /** One subscription of a type at a time. */
  subscribe(type: ResourceType, handler: ResourceHandler): Subscription {
    if (this.#subscriptions.has(type.typeName)) throw new Error(`there is a subscription to ${type.kind} already`);
    const subscription = new TypeSubscription(type, handler, this.#options);
    this.#subscriptions.set(type.typeName, subscription);
    if (this.#stream !== undefined) subscription.connected();
    return {
      want: (names) => this.#send(subscription, subscription.want(names === "*" ? "*" : [...names].sort())),
      close: () => {
        if (this.#subscriptions.get(type.typeName) !== subscription) return;
        this.#send(subscription, subscription.want([]));
        this.#subscriptions.delete(type.typeName);
      },
    };
  }

  start(): void {
    if (this.#state !== "new") return;
    this.#state = "started";
    this.#connect();
  }

  close(): void {
    this.#state = "closed";
    this.#retry?.close();
    const stream = this.#stream;
    this.#drop();
    stream?.close();
  }

  #connect(): void {
    this.#retry = undefined;
    const { open, method, log } = this.#options;
    this.#hasNode = false;
    // A stream may fail before `open` has returned it.
    let ended: string | undefined;
    let isOver = false;
    const stream = open(method, {
      onLength: (length) => {
        if (!isOver && length >= longMessage) this.#beginReceiving();
      },
      onMessage: (pieces) => isOver || this.#take(pieces),
      onEnd: (reason) => {
        isOver = true;
        if (this.#stream === undefined) ended = reason;
        else this.#lose(reason);
      },
    });
    if (ended !== undefined) {
      this.#lose(ended);
      return;
    }
    this.#stream = stream;
    log.debug("The stream to the control plane is opened", { method });
    this.#options.stats.gauge("connected_state").set(1);
    for (const subscription of this.#subscriptions.values()) this.#send(subscription, subscription.connected());
  }

  #lose(reason: string): void {
    const stream = this.#stream;
    this.#drop();
    stream?.close();
    for (const subscription of this.#subscriptions.values()) subscription.failed();
    if (this.#state !== "started") return;
    const delayMs = this.#backOff.next();
    const fields = { method: this.#options.method, reason, delayMs: Math.round(delayMs) };
    this.#options.log.warn("The stream to the control plane is lost; what it said stays in use", fields);
    this.#retry = this.#options.clock.after(delayMs, () => this.#connect());
  }

  /** Its pieces are long work, too. */
  #beginReceiving(): void {
    if (this.#isReceiving) return;
    this.#isReceiving = true;
    this.#options.longWork?.begin();
  }

  #endReceiving(): void {
    if (!this.#isReceiving) return;
    this.#isReceiving = false;
    this.#options.longWork?.end();
  }

  #drop(): void {
    this.#endReceiving();
    this.#stream = undefined;
    this.#queue.length = 0;
    this.#options.stats.gauge("connected_state").set(0);
    for (const subscription of this.#subscriptions.values()) subscription.disconnected();
  }

  #take(pieces: readonly Uint8Array[]): boolean {
    this.#queue.push(pieces);
    if (!this.#isWorking) void this.#work();
    this.#endReceiving();
    return this.#queue.length < longestQueue;
  }

  /** One response after the other: what the first changes, such as which endpoints are wanted, counts for the second. */
  async #work(): Promise<void> {
    this.#isWorking = true;
    for (;;) {
      if (this.#turns.isOver) await this.#turns.next();
      // A server that does not read answers gets to say no more.
      const { whenSent } = this.#stream ?? {};
      if (whenSent !== undefined) await whenSent;
      const pieces = this.#queue.shift();
      const stream = this.#stream;
      if (pieces === undefined || stream === undefined) break;
      const { longWork } = this.#options;
      const isLong = longWork !== undefined && pieces.reduce((sum, { length }) => sum + length, 0) >= longMessage;
      if (isLong) longWork.begin();
      await this.#try(pieces, stream);
      if (isLong) longWork.end();
      if (this.#queue.length < longestQueue) this.#stream?.resume();
    }
    this.#isWorking = false;
    // Messages of a new stream came while one of the old was tried.
    if (this.#queue.length > 0 && this.#stream !== undefined) void this.#work();
  }

  /** Never rejects. */
  async #try(pieces: readonly Uint8Array[], stream: MessageStream): Promise<void> {
    const response = await this.#read(pieces);
    // What another stream said does not count any more.
    if (stream !== this.#stream) return;
    if (response === undefined) {
      this.#lose("a message of the control plane cannot be read");
      return;
    }
    try {
      await this.#handle(response, stream);
    } catch (cause: unknown) {
      // A fault of ours: what is there stays in use, and the server is asked anew.
      this.#options.log.error("A response of the control plane could not be dealt with", { cause });
      if (stream === this.#stream) this.#lose("a response could not be dealt with");
    }
  }

  async #read(pieces: readonly Uint8Array[]): Promise<Response | undefined> {
    try {
      return await readResponse(pieces, { isDelta: this.#options.isDelta, turns: this.#turns });
    } catch (cause: unknown) {
      this.#options.log.warn("A message of the control plane cannot be read", { cause });
      return undefined;
    }
  }

  async #handle(response: Response, stream: MessageStream): Promise<void> {
    this.#backOff.reset();
    const subscription = this.#subscriptions.get(response.typeName);
    if (subscription === undefined) {
      this.#options.log.warn("The control plane sent what nobody asked for", { type: response.typeName });
      return;
    }
    const requests = await subscription.handle(response);
    if (stream === this.#stream) this.#send(subscription, requests);
    for (const { error_detail: detail } of requests) {
      if (detail !== undefined) {
        this.#options.log.warn("Configuration was refused", { type: response.typeName, detail: detail.message });
      }
    }
  }

  #send({ type }: TypeSubscription, requests: readonly AnyRequest[]): void {
    for (const request of requests) {
      const { sendsNodeOnce, isDelta } = this.#options;
      const name = isDelta ? "DeltaDiscoveryRequest" : "DiscoveryRequest";
      const bytes = encode(`envoy.service.discovery.v3.${name}`, { ...request, type_url: typeUrl(type.typeName) });
      this.#stream?.send(sendsNodeOnce && this.#hasNode ? bytes : concatBytes([this.#nodeField, bytes]));
      this.#hasNode = true;
    }
  }
}
