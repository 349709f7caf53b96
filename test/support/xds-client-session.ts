/** A client that follows the protocol for one type at a time, so that tests say only what is special about them. */
import type { Received, XdsStream } from "./xds-client.ts";
import { nodeOf, type TableType, typeUrls, type XdsRig } from "./xds-client-rig.ts";

const node = nodeOf();
const barrierRounds = 2;
/**
 * The next type in the order of sending where it can be. Clusters and load assignments are not taken away while an answer
 * to listeners or routes is due, so these must not be asked for there.
 */
const barrierTypes: Readonly<Record<TableType, TableType>> = { cds: "eds", eds: "cds", lds: "rds", rds: "eds" };

abstract class Session {
  readonly type: TableType;
  readonly rig: XdsRig;
  last: Received | undefined;

  constructor(rig: XdsRig, type: TableType) {
    this.rig = rig;
    this.type = type;
  }

  abstract readonly stream: XdsStream;
  protected abstract passBarrier(): void;
  abstract ack(): void;

  get typeUrl(): string {
    return typeUrls[this.type];
  }

  /** The next response, which must be of this type. */
  async next(): Promise<Received> {
    const response = await this.stream.next();
    if (response.typeUrl !== this.typeUrl) throw new Error(`a response of ${response.typeUrl} came instead`);
    this.last = response;
    return response;
  }

  async nextAck(): Promise<Received> {
    const response = await this.next();
    this.ack();
    return response;
  }

  /** Fails where a response of this type comes. */
  async quiet(): Promise<void> {
    await this.exchange(({ names, removed }) => {
      throw new Error(`unexpected response: ${names.join(" ")} removed ${removed.join(" ")}`);
    });
    if (this.stream.untaken > 0) throw new Error(`${this.stream.untaken} unexpected responses`);
  }

  /**
   * Takes responses of this type, which `take` must answer, until none is due. A question of another type is asked and
   * answered: whatever was due before it would have come first.
   */
  async exchange(take: (response: Received) => void): Promise<void> {
    let quietRounds = 0;
    while (quietRounds < barrierRounds) {
      quietRounds += 1;
      this.passBarrier();
      for (;;) {
        const response = await this.stream.next();
        if (response.typeUrl === this.#barrierUrl) {
          this.ackBarrier(response);
          break;
        }
        this.last = response;
        take(response);
        quietRounds = 0;
      }
    }
  }

  get #barrierUrl(): string {
    return typeUrls[this.barrierType];
  }

  get barrierType(): TableType {
    return barrierTypes[this.type];
  }

  protected abstract ackBarrier(response: Received): void;
}

export class SotwSession extends Session {
  readonly stream: XdsStream<"sotw">;
  names: readonly string[] = [];
  /** Last version that was taken. */
  version = "";

  constructor(rig: XdsRig, type: TableType) {
    super(rig, type);
    this.stream = rig.open("sotw");
  }

  /** The first request; without an answer to anything. */
  subscribe(names: readonly string[], extra: { readonly version?: string; readonly nonce?: string } = {}): void {
    this.names = names;
    this.stream.send({
      node,
      type_url: this.typeUrl,
      resource_names: names,
      version_info: extra.version,
      response_nonce: extra.nonce,
    });
  }

  /** Subscribes, takes the first answer. */
  async begin(names: readonly string[]): Promise<Received> {
    this.subscribe(names);
    return await this.nextAck();
  }

  ack(names = this.names): void {
    this.names = names;
    this.version = this.last?.version ?? "";
    this.stream.send({
      type_url: this.typeUrl,
      resource_names: names,
      version_info: this.version,
      response_nonce: this.last?.nonce,
    });
  }

  nack(message = "refused", extra: { readonly nonce?: string; readonly version?: string } = {}): void {
    this.stream.send({
      type_url: this.typeUrl,
      resource_names: this.names,
      version_info: extra.version ?? this.version,
      response_nonce: extra.nonce ?? this.last?.nonce,
      error_detail: { code: 13, message },
    });
  }

  protected passBarrier(): void {
    this.stream.send({ node, type_url: typeUrls[this.barrierType], resource_names: ["barrier"] });
  }

  protected ackBarrier({ typeUrl, version, nonce }: Received): void {
    this.stream.send({ type_url: typeUrl, resource_names: ["barrier"], version_info: version, response_nonce: nonce });
  }
}

export interface DeltaNames {
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly initial?: { readonly [name: string]: string };
  readonly nonce?: string;
}

export class DeltaSession extends Session {
  readonly stream: XdsStream<"delta">;

  constructor(rig: XdsRig, type: TableType) {
    super(rig, type);
    this.stream = rig.open("delta");
  }

  request({ subscribe, unsubscribe, initial, nonce }: DeltaNames): void {
    this.stream.send({
      node,
      type_url: this.typeUrl,
      resource_names_subscribe: subscribe,
      resource_names_unsubscribe: unsubscribe,
      initial_resource_versions: initial,
      response_nonce: nonce,
    });
  }

  async begin(names: DeltaNames): Promise<Received> {
    this.request(names);
    return await this.nextAck();
  }

  ack(): void {
    this.stream.send({ type_url: this.typeUrl, response_nonce: this.last?.nonce });
  }

  nack(message = "refused"): void {
    this.stream.send({
      type_url: this.typeUrl,
      response_nonce: this.last?.nonce,
      error_detail: { code: 13, message },
    });
  }

  protected passBarrier(): void {
    this.stream.send({ node, type_url: typeUrls[this.barrierType], resource_names_subscribe: ["barrier"] });
  }

  protected ackBarrier({ typeUrl, nonce }: Received): void {
    this.stream.send({ type_url: typeUrl, response_nonce: nonce });
  }
}
