/** D-34: for random histories of the mesh and of one client, both variants leave the client with the same resources. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  buildPart,
  buildSet,
  emptySet,
  findInSet,
  listSet,
  type ResourceSet,
  type Versioned,
} from "../push/resource-set.ts";
import { resourceTypes } from "../push/resource-types.ts";
import { transitionDelta } from "./delta.ts";
import { transitionSotw } from "./sotw.ts";
import { covers } from "./subscription.ts";
import {
  type ContentEvent,
  createWatch,
  type Effect,
  type ResponsePlan,
  type Transition,
  type WatchState,
} from "./watch.ts";

const names = ["a", "b", "c", "d"];

type Step =
  | { readonly kind: "put"; readonly name: string; readonly version: string }
  | { readonly kind: "delete"; readonly name: string }
  | { readonly kind: "subscribe"; readonly name: string }
  | { readonly kind: "unsubscribe"; readonly name: string }
  | { readonly kind: "deliver"; readonly isRefused: boolean };

const nameArbitrary = fc.constantFrom(...names);
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc.record({
      kind: fc.constant("put" as const),
      name: nameArbitrary,
      version: fc.constantFrom("1", "2", "3"),
    }),
    weight: 4,
  },
  { arbitrary: fc.record({ kind: fc.constant("delete" as const), name: nameArbitrary }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("subscribe" as const), name: nameArbitrary }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("unsubscribe" as const), name: nameArbitrary }), weight: 2 },
  { arbitrary: fc.record({ kind: fc.constant("deliver" as const), isRefused: fc.boolean() }), weight: 4 },
);

/** A client and its side of the server, of one variant. */
abstract class Party {
  readonly held = new Map<string, string>();
  readonly wanted: Set<string>;
  protected state: WatchState;
  protected readonly inFlight: { readonly plan: ResponsePlan; readonly nonce: string }[] = [];
  #serial = 0;

  constructor(isWholeSet: boolean, wanted: ReadonlySet<string>) {
    const type = resourceTypes.find((each) => each.isWholeSet === isWholeSet) ?? resourceTypes[0];
    this.state = createWatch(type);
    this.wanted = new Set(wanted);
  }

  abstract subscribe(name: string): void;
  abstract unsubscribe(name: string): void;
  protected abstract transition(event: ContentEvent): Transition;
  protected abstract answer(nonce: string, isRefused: boolean): void;
  protected abstract take(plan: ResponsePlan): void;

  push(mesh: ReadonlyMap<string, Versioned>): void {
    const { subscription } = this.state;
    if (subscription === undefined) return;
    const target = buildSet([buildPart([...mesh.values()].filter(({ name }) => covers(subscription, name)))]);
    for (const effect of this.#run({ kind: "content", target })) {
      if (effect.kind !== "send") continue;
      this.#serial += 1;
      const nonce = `n${this.#serial}`;
      this.#run({ kind: "sent", plan: effect.plan, nonce });
      this.inFlight.push({ plan: effect.plan, nonce });
    }
  }

  /** The client reads the oldest response; false where there is none. */
  deliver(isRefused: boolean): boolean {
    const next = this.inFlight.shift();
    if (next === undefined) return false;
    if (!isRefused) this.take(next.plan);
    this.answer(next.nonce, isRefused);
    return true;
  }

  #run(event: ContentEvent): readonly Effect[] {
    const [state, effects] = this.transition(event);
    this.state = state;
    return effects;
  }

  protected *sent({ names: sentNames, target }: ResponsePlan): Iterable<Versioned> {
    for (const resource of sentNames === undefined ? listSet(target) : pick(target, sentNames)) yield resource;
  }
}

function pick(target: ResourceSet, wanted: readonly string[]): readonly Versioned[] {
  return wanted.flatMap((name) => findInSet(target, name) ?? []);
}

class SotwParty extends Party {
  #nonce = "";

  start(): this {
    this.#send(undefined);
    return this;
  }
  subscribe(name: string): void {
    this.wanted.add(name);
    this.#send(undefined);
  }
  unsubscribe(name: string): void {
    this.wanted.delete(name);
    this.held.delete(name);
    this.#send(undefined);
  }
  protected transition(event: ContentEvent): Transition {
    return transitionSotw(this.state, event);
  }
  protected answer(nonce: string, isRefused: boolean): void {
    this.#nonce = nonce;
    this.#send(isRefused ? { code: 13, message: "no" } : undefined);
  }
  protected take(plan: ResponsePlan): void {
    // Whole sets replace, and what the client no longer wants it does not keep.
    if (this.state.type.isWholeSet) this.held.clear();
    for (const { name, version } of this.sent(plan)) if (this.wanted.has(name)) this.held.set(name, version);
  }
  #send(error: { readonly code: number; readonly message: string } | undefined): void {
    const request = { kind: "request", names: [...this.wanted], version: "", nonce: this.#nonce, error } as const;
    [this.state] = transitionSotw(this.state, request);
  }
}

class DeltaParty extends Party {
  start(): this {
    this.#send([...this.wanted], [], {});
    return this;
  }
  subscribe(name: string): void {
    this.wanted.add(name);
    this.#send([name], [], {});
  }
  unsubscribe(name: string): void {
    this.wanted.delete(name);
    this.held.delete(name);
    this.#send([], [name], {});
  }
  protected transition(event: ContentEvent): Transition {
    return transitionDelta(this.state, event);
  }
  protected answer(nonce: string, isRefused: boolean): void {
    this.#send([], [], { nonce, ...(isRefused ? { error: { code: 13, message: "no" } } : {}) });
  }
  protected take(plan: ResponsePlan): void {
    for (const { name, version } of this.sent(plan)) if (this.wanted.has(name)) this.held.set(name, version);
    for (const name of plan.removed) this.held.delete(name);
  }
  #send(
    subscribe: readonly string[],
    unsubscribe: readonly string[],
    {
      nonce = "",
      error,
    }: { readonly nonce?: string; readonly error?: { readonly code: number; readonly message: string } },
  ): void {
    const request = { kind: "request", subscribe, unsubscribe, brought: emptySet(), nonce, error } as const;
    [this.state] = transitionDelta(this.state, request);
  }
}

/** Runs a history, then lets everything settle with a client that takes what comes, after one last change. */
function play(party: Party, steps: readonly Step[]): ReadonlyMap<string, string> {
  const mesh = new Map<string, Versioned>();
  for (const step of steps) {
    if (step.kind === "put") mesh.set(step.name, { name: step.name, version: step.version });
    else if (step.kind === "delete") mesh.delete(step.name);
    else if (step.kind === "subscribe") party.subscribe(step.name);
    else if (step.kind === "unsubscribe" && party.wanted.size > 1) party.unsubscribe(step.name);
    else if (step.kind === "deliver") party.deliver(step.isRefused);
    party.push(mesh);
  }
  // Everything in the air is read. Refused content is owed nothing until something changes, so something does.
  while (party.deliver(false)) party.push(mesh);
  mesh.set("e", { name: "e", version: "final" });
  party.subscribe("e");
  party.push(mesh);
  while (party.deliver(false)) party.push(mesh);
  return party.held;
}

function expectedOf(party: Party, steps: readonly Step[]): ReadonlyMap<string, string> {
  const mesh = new Map<string, string>([["e", "final"]]);
  for (const step of steps) {
    if (step.kind === "put") mesh.set(step.name, step.version);
    else if (step.kind === "delete") mesh.delete(step.name);
  }
  return new Map([...mesh].filter(([name]) => party.wanted.has(name)));
}

const sortedEntries = (map: ReadonlyMap<string, string>): readonly (readonly [string, string])[] => [...map].sort();

test("D-34 a client has the same resources after either variant (listeners and clusters)", () => {
  const property = fc.property(fc.array(stepArbitrary, { maxLength: 40 }), (steps) => {
    const sotw = new SotwParty(true, new Set(["a"])).start();
    const delta = new DeltaParty(true, new Set(["a"])).start();
    expect(sortedEntries(play(sotw, steps))).toEqual(sortedEntries(play(delta, steps)));
    expect(sortedEntries(sotw.held)).toEqual(sortedEntries(expectedOf(sotw, steps)));
  });
  fc.assert(property, { numRuns: 1000 });
});

test("D-34 a client has all of the newest resources that exist (routes and load assignments)", () => {
  // In the state of the world these types cannot be removed by a response: what exists is compared.
  const property = fc.property(fc.array(stepArbitrary, { maxLength: 40 }), (steps) => {
    const sotw = new SotwParty(false, new Set(["a"])).start();
    const delta = new DeltaParty(false, new Set(["a"])).start();
    const [sotwHeld, deltaHeld] = [play(sotw, steps), play(delta, steps)];
    const existing = expectedOf(delta, steps);
    expect(sortedEntries(deltaHeld)).toEqual(sortedEntries(existing));
    for (const [name, version] of existing) expect(sotwHeld.get(name)).toBe(version);
  });
  fc.assert(property, { numRuns: 1000 });
});
