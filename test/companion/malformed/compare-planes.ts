/** Asks inputs of both proxies and finds where the companion differs from Envoy. */
import type { Asked, Lanes } from "./lanes.ts";
import type { Profile } from "./profiles.ts";
import { type Comparison, compareVerdicts } from "./verdict.ts";

export interface Input {
  readonly name: string;
  readonly profile: Profile;
}

export interface Compared<Answer> {
  readonly comparison: Comparison;
  readonly envoy: Asked<Answer>;
  readonly companion: Asked<Answer>;
}

export interface Planes {
  readonly envoy: Lanes;
  readonly companion: Lanes;
}

/** What came of each input, by its name. */
export async function comparePlanes<Each extends Input, Answer>(
  { envoy, companion }: Planes,
  inputs: readonly Each[],
  ask: (input: Each, port: number) => Promise<Answer>,
): Promise<Map<string, Compared<Answer>>> {
  const [theirs, ours] = await Promise.all([envoy.askAll(inputs, ask), companion.askAll(inputs, ask)]);
  const found = new Map<string, Compared<Answer>>();
  for (const [index, { name }] of inputs.entries()) {
    const [one, other] = [theirs[index], ours[index]];
    if (one === undefined || other === undefined) throw new Error(`${name} was not asked`);
    found.set(name, { comparison: compareVerdicts(one, other), envoy: one, companion: other });
  }
  return found;
}

const tries = 3;

/**
 * The same, for inputs of which it is known how they differ (equal where not given): those that come out otherwise are
 * asked again, as a machine that is too busy for the proxies' patience makes any request late.
 */
export async function compareWithKnown<Each extends Input, Answer>(
  planes: Planes,
  { inputs, known }: { readonly inputs: readonly Each[]; readonly known: ReadonlyMap<string, Comparison> },
  ask: (input: Each, port: number) => Promise<Answer>,
): Promise<ReadonlyMap<string, Compared<Answer>>> {
  const found = await comparePlanes(planes, inputs, ask);
  for (let round = 1; round < tries; round++) {
    const others = inputs.filter(({ name }) => found.get(name)?.comparison !== (known.get(name) ?? "equal"));
    if (others.length === 0) break;
    for (const [name, compared] of await comparePlanes(planes, others, ask)) found.set(name, compared);
  }
  return found;
}

/** Names and kinds of all that is not equal. */
export function listDifferences(found: ReadonlyMap<string, Compared<unknown>>): Readonly<Record<string, Comparison>> {
  const differing = [...found].filter(([, { comparison }]) => comparison !== "equal");
  return Object.fromEntries(differing.map(([name, { comparison }]) => [name, comparison]));
}

/** What must never be, in full. */
export function listLaxer<Answer>(found: ReadonlyMap<string, Compared<Answer>>): readonly [string, Compared<Answer>][] {
  return [...found].filter(([, { comparison }]) => comparison === "laxer");
}
