/** Random changes of the mesh's objects: what fast-check draws, and the changes that parsing makes of it. */
import fc from "fast-check";
import { stringify } from "yaml";
import { refOf } from "../../src/api/object.ts";
import { parseObjects } from "../../src/api/parse.ts";
import { keepLastGood, parseContent } from "../../src/sources/content.ts";
import type { ObjectChange } from "../../src/sources/source.ts";
import { keepPrivate, parseGood, targets } from "./fuzzed-mesh.ts";
import { applyEdits, type Edit, edits } from "./mutate.ts";
import { applyTextEdits, type TextEdit, textEdits } from "./mutate-text.ts";

export interface ObjectMutation {
  /** Of the target. */
  readonly index: number;
  readonly edits: readonly Edit[];
  readonly isDeleted: boolean;
}

/** A file of two documents. */
export interface TextMutation {
  readonly first: number;
  readonly second: number;
  /** Written over many lines, where a column means something, rather than in brackets. */
  readonly isBlock: boolean;
  readonly edits: readonly TextEdit[];
}

const index = fc.nat({ max: targets.length - 1 });

export const objectMutation: fc.Arbitrary<ObjectMutation> = fc.record({
  index,
  edits,
  isDeleted: fc.oneof({ weight: 19, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

export const textMutation: fc.Arbitrary<TextMutation> = fc.record({
  first: index,
  second: index,
  isBlock: fc.boolean(),
  edits: textEdits,
});

/** The changes that a source would hand over where objects arrive like this: none for one that is refused. */
export function editObjects(mutations: readonly ObjectMutation[]): readonly ObjectChange[] {
  return mutations.flatMap(({ index: at, edits: list, isDeleted }): readonly ObjectChange[] => {
    const target = targets[at] ?? {};
    if (isDeleted) return [{ type: "deleted", ref: refOf(parseGood(target)) }];
    // Kind and version stay: another word there is refused at once, and little would be left to translate.
    const { kind, apiVersion, ...rest } = target as { readonly kind: string; readonly apiVersion: string };
    return parseObjects({ ...applyEdits(rest, list), kind, apiVersion }).flatMap(({ object }) =>
      object === undefined ? [] : [{ type: "set", object: keepPrivate(object) }],
    );
  });
}

const blockTexts = targets.map((target) => stringify(target));
const bracketTexts = targets.map((target) => stringify(target, { collectionStyle: "flow" }));

/** The changes between the objects of a file before and after its text was edited, by the rules of the file source. */
export function editText({ first, second, isBlock, edits: list }: TextMutation): readonly ObjectChange[] {
  const texts = isBlock ? blockTexts : bracketTexts;
  const text = [texts[first], texts[second]].join("---\n");
  const before = parseContent(text, "mesh.yaml");
  const after = keepLastGood(before, parseContent(applyTextEdits(text, list), "mesh.yaml"));
  return [
    ...[...before.objects]
      .filter(([key]) => !after.objects.has(key))
      .map(([, object]): ObjectChange => ({ type: "deleted", ref: refOf(object) })),
    ...[...after.objects]
      .filter(([key, object]) => before.objects.get(key) !== object)
      .map(([, object]): ObjectChange => ({ type: "set", object: keepPrivate(object) })),
  ];
}
