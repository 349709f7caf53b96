import { expect, test } from "vitest";
import { createFindings, formatPath } from "./findings.ts";
import type { PlainValue } from "./plain-value.ts";
import { readProtoJson, type SchemaNode } from "./read-proto-json.ts";
import { decimal, duration, flag, int32, labels, list, map, oneOf, optional, record, texts } from "./schema-fields.ts";

const schema = record({
  maxCount: optional(int32("Count.")),
  ratio: optional(decimal("Ratio.")),
  isOn: optional(flag("On.")),
  mode: optional(oneOf(["OFF", "SOFT", "HARD"], "Mode.")),
  wait: optional(duration("Wait.")),
  names: optional(texts("Names.")),
  modes: optional(list(oneOf(["OFF", "SOFT"], "Mode."))),
  tags: optional(labels("Tags.")),
  shares: optional(map(int32("Share."), "Shares.")),
  parts: optional(list(record({ http2MaxCount: optional(int32("Count.")) }), "Parts.")),
});

interface Reading {
  readonly value: PlainValue;
  readonly said: readonly string[];
}

function read(value: PlainValue): Reading {
  const findings = createFindings();
  const unknown: string[] = [];
  const result = readProtoJson(schema as unknown as SchemaNode, value, {
    path: [],
    findings,
    unknown: (path, _known, key) => void unknown.push(`unknown ${formatPath([...path, key])}`),
  });
  const said = findings.all.map(({ level, path, text }) => `${level} ${formatPath(path)}: ${text}`);
  return { value: result, said: [...unknown, ...said] };
}

const cases: readonly (readonly [name: string, value: PlainValue, expected: PlainValue])[] = [
  ["null is an absent field", { maxCount: null, names: null, parts: null }, {}],
  [
    "names of .proto files",
    { max_count: 1, parts: [{ http2_max_count: 2 }] },
    { maxCount: 1, parts: [{ http2MaxCount: 2 }] },
  ],
  ["the JSON name wins", { max_count: 1, maxCount: 2 }, { maxCount: 2 }],
  [
    "numbers in quotes",
    { maxCount: "-12", ratio: "1.5e2", shares: { a: "5" } },
    { maxCount: -12, ratio: 150, shares: { a: 5 } },
  ],
  [
    "what is no number stays text",
    { maxCount: "1.5", ratio: "x", shares: { a: "" } },
    { maxCount: "1.5", ratio: "x", shares: { a: "" } },
  ],
  ["text is no truth value", { isOn: "true" }, { isOn: "true" }],
  ["words of an enum by number", { mode: 2, modes: [1, 0] }, { mode: "HARD", modes: ["SOFT", "OFF"] }],
  ["a number in quotes is no word", { mode: "1" }, { mode: "1" }],
  [
    "null in lists and maps is the empty value",
    { names: [null], parts: [null], tags: { a: null }, shares: { a: null } },
    { names: [""], parts: [{}], tags: { a: "" }, shares: { a: 0 } },
  ],
  ["labels keep their names", { tags: { a_b: "c" } }, { tags: { a_b: "c" } }],
];
test.each(cases)("%s", (_name, value, expected) => {
  expect(read(value)).toEqual({ value: expected, said: [] });
});

test("what is left out or cannot be meant is told", () => {
  expect(read({ mode: 7, maxcount: 1, wait: "9999999h" })).toEqual({
    value: { wait: "9999999h" },
    said: [
      "unknown maxcount",
      "warning mode: 7 has no meaning here and counts as not given",
      "error wait: is longer than 292 years",
    ],
  });
});
