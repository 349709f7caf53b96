/**
 * One stream of a proxy: performs what the reducers decide. Nothing is queued for a stream. A mark says that something
 * may have changed; what to send is decided when its turn comes, from what the mesh is then.
 *
 * Order within a stream (xds_protocol, "eventual consistency considerations"): types go out in the order of
 * `resourceTypes`; a type that must wait for an answer holds up the later ones, so that no route names a cluster that
 * was not sent; listeners and routes wait until the client can use the new clusters that they lead to; and clusters are
 * taken away only after the client took the listeners and routes without them.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import type { FanOutMember } from "../push/fan-out.ts";
import type { XdsMetrics } from "../push/metrics.ts";
import { diffSets, mergeSets, type ResourceSet } from "../push/resource-set.ts";
import type { ProxyResources } from "../push/resource-store.ts";
import { type ResourceType, resourceTypes, type XdsType } from "../push/resource-types.ts";
import type { EncodedResponse, ResponseEncoder } from "../push/response-encoder.ts";
import { ClusterGate } from "./cluster-gate.ts";
import { basisOf, type Delivery } from "./delivery.ts";
import { transitionDelta } from "./delta.ts";
import type { DistributionMember, SyncState } from "./distribution.ts";
import { keepNames } from "./holding.ts";
import type { ReceivedRequest } from "./request.ts";
import { formatClientError } from "./request.ts";
import { transitionSotw } from "./sotw.ts";
import { isWildcard, namesOf } from "./subscription.ts";
import type { StreamPort, Variant } from "./transport.ts";
import { listWarmingAssignments } from "./warming.ts";
import { type ContentEvent, createWatch, type Effect, type ResponsePlan, type WatchState } from "./watch.ts";

export interface ConnectionInputs {
  readonly id: string;
  readonly proxy: MeshProxy;
  readonly variant: Variant;
  readonly port: StreamPort;
  readonly resources: ProxyResources;
  readonly encoder: ResponseEncoder;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: XdsMetrics;
  /** Milliseconds that a newer response waits for the answer to the last one. */
  readonly answerMs: number;
  /** Milliseconds that listeners and routes wait until the client can use the new clusters that they lead to. */
  readonly warmingMs: number;
  /** Serials up to this one may have been seen by the client on an earlier stream. */
  readonly serialFloor: number;
  /** Asks for a turn to write. */
  readonly requestTurn: () => void;
  /** Ends the stream because its client does not read. */
  readonly onUnread: () => void;
  /** Generation of the snapshot that resources are made of. */
  readonly generation: () => number;
  /** The proxy has taken, or refused, what is new. */
  readonly onProgress: () => void;
}

/** State of a type with what the reducers need not know. */
export interface Watch {
  state: WatchState;
  serial: number;
  sentAtMs: number | undefined;
  nonceSent: string;
  nonceAcked: string;
  lastError: string;
  retryAt: number;
  answerTimer: Timer | undefined;
  retryTimer: Timer | undefined;
  /** Generation of the snapshot that the last response was made of. */
  sentGeneration: number;
  /** Generation of the snapshot of which the client has everything, as far as it asks for it; -1 before. */
  syncedGeneration: number;
}

interface Sending {
  readonly plan: ResponsePlan;
  /** When making the response began, by the monotonic clock. */
  readonly startedAt: number;
  readonly onWritten: () => void;
}

type StepResult = "current" | "blocked" | { readonly bytes: number };

/** After so many refusals one after the other the next attempts wait. */
const refusalsBeforeBackOff = 3;
const firstBackOffMs = 1000;
const maxBackOffMs = 30_000;

export class Connection implements FanOutMember, DistributionMember {
  readonly inputs: ConnectionInputs;
  readonly connectedAtMs: number;
  readonly watches = new Map<string, Watch>();
  #changedAt: number | undefined;
  /** Types that were sent since the client last had everything, by their places in the order of sending. */
  readonly #sent = new Set<number>();
  /** The place at which looking for something to send begins. */
  #first = 0;
  readonly #gate: ClusterGate;

  constructor(inputs: ConnectionInputs) {
    this.inputs = inputs;
    this.connectedAtMs = inputs.clock.now();
    const { clock, warmingMs, requestTurn: onImpatience } = inputs;
    this.#gate = new ClusterGate({ clock, warmingMs, onImpatience });
  }

  /** The greatest serial that the client may have seen. */
  get highestSerial(): number {
    return Math.max(this.inputs.serialFloor, ...[...this.watches.values()].map(({ serial }) => serial));
  }

  handleRequest(type: ResourceType, { event }: ReceivedRequest): void {
    const watch = this.#findWatch(type);
    const [state, effects] =
      event.variant === "sotw"
        ? transitionSotw(watch.state, event.request)
        : transitionDelta(watch.state, event.request);
    watch.state = state;
    for (const effect of effects) this.#noteAnswer(watch, effect);
    this.inputs.requestTurn();
  }

  /** Something that this stream is to have may have changed. */
  noteChange(): void {
    this.#changedAt ??= this.inputs.clock.monotonic();
    this.inputs.requestTurn();
  }

  /** Owes everything again, changed or not. */
  resendAll(): void {
    for (const watch of this.watches.values()) {
      if (watch.state.subscription !== undefined) watch.state = { ...watch.state, owed: "everything" };
    }
    this.inputs.requestTurn();
  }

  writeNext(onWritten: () => void): number {
    let isBlocked = false;
    for (let index = 0; index < resourceTypes.length; index += 1) {
      const place = (this.#first + index) % resourceTypes.length;
      const watch = this.watches.get(resourceTypes[place]?.typeUrl ?? "");
      if (watch === undefined) continue;
      const result = this.#step(watch, onWritten);
      if (result === "blocked") {
        if (this.#first === 0) return 0;
        isBlocked = true;
      } else if (result !== "current") {
        this.#noteSent(place);
        return result.bytes;
      }
    }
    if (isBlocked) return 0;
    this.#first = 0;
    this.#sent.clear();
    this.#noteConverged();
    return 0;
  }

  /**
   * A type that changes again before the client has had the others would keep these waiting for as long as it does. So what
   * comes behind it has its turn first; clusters that it leads to and that the client does not have hold it back all the same.
   */
  #noteSent(place: number): void {
    if (this.#sent.has(place)) this.#first = (place + 1) % resourceTypes.length;
    else this.#sent.add(place);
  }

  noteQueueTime(waitedMs: number): void {
    this.inputs.metrics.observe("pilot_proxy_queue_time", waitedMs / 1000);
  }

  cutOff(): void {
    this.inputs.metrics.count("pilot_xds_write_timeout");
    this.inputs.log.warn("a proxy does not read what is sent to it", { proxy: this.inputs.proxy.nodeId });
    this.inputs.onUnread();
  }

  close(): void {
    for (const { answerTimer, retryTimer, state, lastError } of this.watches.values()) {
      answerTimer?.close();
      retryTimer?.close();
      if (lastError !== "") this.inputs.metrics.setReject(state.type.type, this.inputs.proxy.nodeId, undefined);
    }
    this.#gate.close();
    this.inputs.resources.release();
  }

  /** How far the client has come, for each type that it asks for. */
  listSyncStates(): readonly SyncState[] {
    return [...this.watches.values()].flatMap(({ state, syncedGeneration, lastError }) => {
      const { type, delivery } = state;
      const target = this.#findTarget(state);
      if (target === undefined) return [];
      const held = delivery.kind === "waiting" ? delivery.base : basisOf(delivery);
      const refused = delivery.kind === "rejected" ? { set: delivery.refused, error: lastError } : undefined;
      return { type: type.type, target, held, syncedGeneration, refused };
    });
  }

  #findWatch(type: ResourceType): Watch {
    const known = this.watches.get(type.typeUrl);
    if (known !== undefined) return known;
    const created: Watch = {
      state: createWatch(type),
      serial: this.inputs.serialFloor,
      sentAtMs: undefined,
      nonceSent: "",
      nonceAcked: "",
      lastError: "",
      retryAt: 0,
      answerTimer: undefined,
      retryTimer: undefined,
      sentGeneration: -1,
      syncedGeneration: -1,
    };
    this.watches.set(type.typeUrl, created);
    return created;
  }

  #step(watch: Watch, onWritten: () => void): StepResult {
    const startedAt = this.inputs.clock.monotonic();
    const target = this.#findTarget(watch.state);
    if (target === undefined || this.#isBackingOff(watch)) return "current";
    const whole = this.#mustKeep(watch.state, target) ? mergeSets(basisOf(watch.state.delivery), target) : target;
    const goal = this.#keepEndpoints(watch.state, this.#holdBack(watch.state, whole));
    const [state, effects] = this.#transition(watch.state, { kind: "content", target: goal });
    watch.state = state;
    const send = effects.find((effect) => effect.kind === "send");
    if (send !== undefined) return { bytes: this.#send(watch, { plan: send.plan, startedAt, onWritten }) };
    const { delivery } = state;
    if (goal === whole && hasTaken(delivery, goal)) this.#noteSynced(watch, this.inputs.generation());
    return delivery.kind === "waiting" && differs(delivery.target, goal) ? "blocked" : "current";
  }

  /** What the client is to have; undefined while that is not known or nothing is asked for. */
  #findTarget({ type, subscription, delivery }: WatchState): ResourceSet | undefined {
    if (subscription === undefined) return undefined;
    const wanted = isWildcard(subscription) ? undefined : namesOf(subscription);
    const resolution = this.inputs.resources.resolve(type.type, wanted);
    if (resolution === undefined) return undefined;
    return resolution.isComplete ? resolution.set : mergeSets(basisOf(delivery), resolution.set);
  }

  /**
   * Whether clusters and load assignments that are to go must stay for now: as long as the client has not taken the
   * listeners and routes of now, it may still send traffic to them.
   */
  #mustKeep(state: WatchState, target: ResourceSet): boolean {
    if (state.type.type !== "cds" && state.type.type !== "eds") return false;
    if (diffSets(basisOf(state.delivery), target).removed.length === 0) return false;
    return [...this.watches.values()].some(({ state: later }) => {
      if (later.type.type !== "lds" && later.type.type !== "rds") return false;
      const { delivery } = later;
      if (delivery.kind === "rejected" || (delivery.kind === "waiting" && !delivery.isOverdue)) return true;
      const laterTarget = this.#findTarget(later);
      if (laterTarget === undefined) return false;
      const [, effects] = this.#transition(later, { kind: "content", target: laterTarget });
      return effects.length > 0;
    });
  }

  /** Listeners and routes as far as the client can use the clusters that they lead to. */
  #holdBack({ type: { type }, delivery }: WatchState, target: ResourceSet): ResourceSet {
    if (type !== "lds" && type !== "rds") return target;
    const watch = this.#watchOf("cds");
    const clusters = watch && this.#findTarget(watch.state);
    if (watch === undefined || clusters === undefined) return target;
    const endpoints = this.#watchOf("eds")?.state.delivery;
    const progress = { target: clusters, clusters: watch.state.delivery, endpoints, refusal: watch.lastError };
    return this.#gate.admit({ type, delivery, target }, progress);
  }

  /**
   * Endpoints without changes to those of clusters that are to go: as long as the client has such a cluster, it may still
   * send traffic to it.
   */
  #keepEndpoints({ type: { type }, delivery }: WatchState, target: ResourceSet): ResourceSet {
    const clusters = type === "eds" ? this.#watchOf("cds") : undefined;
    const to = clusters && this.#findTarget(clusters.state);
    if (clusters === undefined || to === undefined || delivery.kind === "none") return target;
    const { removed } = diffSets(basisOf(clusters.state.delivery), to);
    return removed.length === 0 ? target : keepNames(basisOf(delivery), target, removed);
  }

  #watchOf(type: XdsType): Watch | undefined {
    return [...this.watches.values()].find(({ state }) => state.type.type === type);
  }

  #isBackingOff(watch: Watch): boolean {
    if (watch.state.owed !== "nothing" || watch.state.delivery.kind !== "rejected") return false;
    const leftMs = watch.retryAt - this.inputs.clock.monotonic();
    if (leftMs <= 0) return false;
    watch.retryTimer ??= this.inputs.clock.after(leftMs, () => {
      watch.retryTimer = undefined;
      this.inputs.requestTurn();
    });
    return true;
  }

  #send(watch: Watch, { plan, startedAt: makingSince, onWritten }: Sending): number {
    const { clock, encoder, metrics, port, variant } = this.inputs;
    const { type } = watch.state;
    const before = basisOf(watch.state.delivery);
    const response = encoder.encode({ variant, typeUrl: type.typeUrl, ...plan }, watch.serial);
    const [state] = this.#transition(watch.state, { kind: "sent", plan, nonce: response.nonce });
    watch.state = state;
    watch.serial = response.serial;
    watch.nonceSent = response.nonce;
    watch.sentAtMs = clock.now();
    watch.sentGeneration = this.inputs.generation();
    this.#awaitAnswer(watch);
    this.#expectWarming(type, before, plan);
    const startedAt = clock.monotonic();
    // Nearly all of it falls to the first proxy of a scope: the others find everything made.
    metrics.observe("pilot_xds_push_time", (startedAt - makingSince) / 1000, { type: type.type });
    port.write(response.bytes, () => {
      metrics.observe("pilot_xds_send_time", (clock.monotonic() - startedAt) / 1000);
      onWritten();
    });
    this.#countPush(type, response);
    return response.bytes.length;
  }

  #countPush({ type }: ResourceType, { bytes }: EncodedResponse): void {
    this.inputs.metrics.count("pilot_xds_pushes", { type });
    this.inputs.metrics.observe("pilot_xds_config_size_bytes", bytes.length, { type });
  }

  #awaitAnswer(watch: Watch): void {
    watch.answerTimer?.close();
    watch.answerTimer = this.inputs.clock.after(this.inputs.answerMs, () => {
      watch.answerTimer = undefined;
      watch.state = this.#transition(watch.state, { kind: "answerOverdue" })[0];
      this.inputs.requestTurn();
    });
  }

  /** After clusters the client may wait for their endpoints, after listeners for their routes, after both for secrets. */
  #expectWarming({ type }: ResourceType, before: ResourceSet, { target }: ResponsePlan): void {
    if (type !== "cds" && type !== "lds") return;
    const secrets = this.#watchOf("sds");
    if (secrets !== undefined) secrets.state = this.#transition(secrets.state, { kind: "maybeWarming" })[0];
    const later = this.#watchOf(type === "cds" ? "eds" : "rds");
    if (later === undefined) return;
    const names = type === "cds" ? listWarmingAssignments(before, target) : [];
    later.state = this.#transition(later.state, { kind: "maybeWarming" })[0];
    if (names.length > 0) later.state = this.#transition(later.state, { kind: "resend", names })[0];
  }

  #noteAnswer(watch: Watch, effect: Effect): void {
    const { clock, log, metrics, proxy } = this.inputs;
    const { type } = watch.state.type;
    switch (effect.kind) {
      case "acknowledged":
        if (watch.state.delivery.kind !== "waiting") watch.answerTimer?.close();
        watch.nonceAcked = effect.nonce;
        if (watch.lastError !== "") metrics.setReject(type, proxy.nodeId, undefined);
        watch.lastError = "";
        watch.retryAt = 0;
        if (watch.state.delivery.kind === "accepted") this.#noteSynced(watch, watch.sentGeneration);
        return;
      case "refused": {
        watch.answerTimer?.close();
        watch.lastError = formatClientError(effect.error.message) || `code ${effect.error.code}`;
        const excess = watch.state.refusals - refusalsBeforeBackOff;
        if (excess >= 0) {
          watch.retryAt = clock.monotonic() + Math.min(firstBackOffMs * 2 ** Math.min(excess, 10), maxBackOffMs);
        }
        metrics.count("pilot_total_xds_rejects", { type });
        metrics.setReject(type, proxy.nodeId, String(effect.error.code));
        // A proxy that refuses everything must not fill the log.
        const report = excess > 0 ? log.debug : log.warn;
        report("a proxy refused a response", { proxy: proxy.nodeId, type, error: watch.lastError });
        this.inputs.onProgress();
        return;
      }
      case "staleNonce":
        metrics.count("pilot_xds_expired_nonce", { type });
        return;
      case "send":
        return;
    }
  }

  /** Also where nothing was sent, because what changed is nothing that the client has. */
  #noteSynced(watch: Watch, generation: number): void {
    if (watch.syncedGeneration >= generation) return;
    watch.syncedGeneration = generation;
    this.inputs.onProgress();
  }

  #noteConverged(): void {
    if (this.#changedAt === undefined) return;
    const { clock, metrics } = this.inputs;
    metrics.observe("pilot_proxy_convergence_time", (clock.monotonic() - this.#changedAt) / 1000);
    this.#changedAt = undefined;
  }

  #transition(state: WatchState, event: ContentEvent): readonly [WatchState, readonly Effect[]] {
    return this.inputs.variant === "sotw" ? transitionSotw(state, event) : transitionDelta(state, event);
  }
}

/** True where the client has all of `goal`, and said so. */
function hasTaken(delivery: Delivery, goal: ResourceSet): boolean {
  if (delivery.kind === "waiting" || delivery.kind === "rejected") return false;
  return !differs(delivery.held, goal);
}

function differs(before: ResourceSet, after: ResourceSet): boolean {
  return before !== after && before.version !== after.version;
}
