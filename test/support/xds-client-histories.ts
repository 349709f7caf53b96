/** Random histories of the mesh and of one client, lived through by a client of either variant. */
import fc from "fast-check";
import type { Received } from "./xds-client.ts";
import type { TableType, XdsRig } from "./xds-client-rig.ts";
import { DeltaSession, SotwSession } from "./xds-client-session.ts";

export type Step =
  | { readonly kind: "put"; readonly name: string; readonly value: number }
  | { readonly kind: "delete"; readonly name: string }
  | { readonly kind: "subscribe"; readonly name: string }
  | { readonly kind: "unsubscribe"; readonly name: string }
  /** Everything due is read; the first response is refused. */
  | { readonly kind: "exchange"; readonly isRefused: boolean };

/** Histories of resources "a" to "d"; for clusters and listeners clients may ask for everything, "*", too. */
export function arbitraryHistory(type: TableType): fc.Arbitrary<readonly Step[]> {
  const name = fc.constantFrom("a", "b", "c", "d");
  const asked = type === "cds" || type === "lds" ? fc.oneof(name, fc.constant("*")) : name;
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("put" as const), name, value: fc.integer({ max: 3, min: 1 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), name }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("subscribe" as const), name: asked }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("unsubscribe" as const), name: asked }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("exchange" as const), isRefused: fc.boolean() }) },
  );
  return fc.array(step, { maxLength: 30 });
}

/** More refusals in a row make the server wait before it tries again. */
const maxRefusals = 2;

/** A client that keeps what it takes, as a proxy does. */
abstract class Holder<Client extends SotwSession | DeltaSession> {
  /** Encoded resources by name. */
  readonly held = new Map<string, string>();
  readonly wanted = new Set<string>();
  protected readonly session: Client;
  #refusals = 0;

  constructor(session: Client) {
    this.session = session;
  }

  subscribe(name: string): void {
    this.wanted.add(name);
    this.tell([name], []);
  }

  unsubscribe(name: string): void {
    if (!this.wanted.delete(name)) return;
    for (const known of this.held.keys()) if (!this.wants(known)) this.held.delete(known);
    this.tell([], [name]);
  }

  /** Reads everything that is due and takes it, but for the first response with `isRefused`. */
  async exchange(isRefused: boolean): Promise<void> {
    let mayRefuse = isRefused && this.#refusals < maxRefusals;
    await this.session.exchange((response) => {
      if (mayRefuse) {
        mayRefuse = false;
        this.#refusals += 1;
        this.session.nack();
        return;
      }
      this.#refusals = 0;
      this.take(response);
      this.session.ack();
    });
  }

  /** Tells the server which names were added and dropped. */
  protected abstract tell(added: readonly string[], dropped: readonly string[]): void;
  protected abstract take(response: Received): void;

  protected keep({ resources }: Received): void {
    for (const { name, bytes } of resources) {
      if (this.wants(name)) this.held.set(name, Buffer.from(bytes).toString("hex"));
    }
  }

  protected wants(name: string): boolean {
    return this.wanted.has("*") || this.wanted.has(name);
  }
}

export class SotwHolder extends Holder<SotwSession> {
  constructor(rig: XdsRig, type: TableType) {
    super(new SotwSession(rig, type));
  }

  protected tell(): void {
    const { last, version } = this.session;
    this.session.subscribe([...this.wanted], last === undefined ? {} : { version, nonce: last.nonce });
  }

  protected take(response: Received): void {
    // Clusters and listeners come whole; of the other types what is not in a response stays.
    if (this.session.type === "cds" || this.session.type === "lds") this.held.clear();
    this.keep(response);
  }
}

export class DeltaHolder extends Holder<DeltaSession> {
  constructor(rig: XdsRig, type: TableType) {
    super(new DeltaSession(rig, type));
  }

  protected tell(subscribe: readonly string[], unsubscribe: readonly string[]): void {
    this.session.request({ subscribe, unsubscribe });
  }

  protected take(response: Received): void {
    this.keep(response);
    for (const name of response.removed) this.held.delete(name);
  }
}

/**
 * Plays a history with a client of each variant, side by side, and lets everything settle after one last change: what
 * was refused is owed only when something changes.
 */
export async function playHistory(
  rig: XdsRig,
  type: TableType,
  steps: readonly Step[],
): Promise<{ readonly sotw: SotwHolder; readonly delta: DeltaHolder }> {
  const holders = { sotw: new SotwHolder(rig, type), delta: new DeltaHolder(rig, type) };
  const both = [holders.sotw, holders.delta];
  for (const holder of both) holder.subscribe("a");
  const settled: Step[] = [
    { kind: "exchange", isRefused: false },
    { kind: "subscribe", name: "last" },
    { kind: "put", name: "last", value: 9 },
    { kind: "exchange", isRefused: false },
  ];
  for (const step of [...steps, ...settled]) {
    if (step.kind === "put") rig.set(type, step.name, step.value).commit();
    else if (step.kind === "delete") rig.set(type, step.name, undefined).commit();
    else if (step.kind === "subscribe") for (const holder of both) holder.subscribe(step.name);
    else if (step.kind === "unsubscribe") for (const holder of both) holder.unsubscribe(step.name);
    else await Promise.all(both.map((holder) => holder.exchange(step.isRefused)));
  }
  return holders;
}
