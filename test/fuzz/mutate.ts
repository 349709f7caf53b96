/** Random edits of plain values, described by numbers so that fast-check can shrink them. */
import fc from "fast-check";

export interface Edit {
  /** Picks the place: the nth of all values in the object. */
  readonly at: number;
  readonly operation: "replace" | "remove" | "copyFrom" | "rename" | "wrap" | "repeat" | "nudge";
  /** Picks the other place for copyFrom. */
  readonly from: number;
  readonly value: unknown;
  readonly word: string;
}

/** Words that mean something somewhere: names, hosts, numbers as text, enum names, patterns, traps of JavaScript. */
const words = [
  "",
  "*",
  ".",
  "~",
  "a",
  "v1",
  "shop",
  "quiet",
  "web",
  "cart",
  "cart.shop.svc.cluster.local",
  "*.local",
  "*.example.com",
  "stock",
  "mesh",
  "istio-system/edge",
  "5s",
  "0s",
  "-1s",
  "1h99999999s",
  "100",
  "10.60.0.10",
  "10.0.0.0/8",
  "::1",
  "0.0.0.0",
  "HTTP",
  "HTTPS",
  "TCP",
  "TLS",
  "MONGO",
  "UDP",
  "GRPC",
  "SIMPLE",
  "MUTUAL",
  "ISTIO_MUTUAL",
  "PASSTHROUGH",
  "DISABLE",
  "STATIC",
  "DNS",
  "NONE",
  "DYNAMIC_DNS",
  "RANDOM",
  "ROUND_ROBIN",
  "(((((((((",
  "[a-z]+",
  "^(?=x)",
  "%REQ(x)%",
  "%",
  "\u0000",
  "é世",
  "unix:///tmp/x",
  "__proto__",
  "constructor",
  "x".repeat(300),
  "region/zone/subzone",
  ":authority",
  "{{ .x }}",
  "\n",
];

const leaf = fc.oneof(
  fc.constantFrom(...words),
  fc.constantFrom<unknown>(null, true, false, 0, 1, -1, 80, 443, 8080, 65535, 65536, 1e21, 0.5, 100, 4294967296),
  fc.string({ maxLength: 12 }),
  fc.integer(),
  fc.double(),
);

const anyValue = fc.oneof(
  { weight: 4, arbitrary: leaf },
  { weight: 1, arbitrary: fc.array(leaf, { maxLength: 4 }) },
  { weight: 1, arbitrary: fc.dictionary(fc.constantFrom(...words), leaf, { maxKeys: 4 }) },
);

export const edits: fc.Arbitrary<readonly Edit[]> = fc.array(
  fc.record({
    at: fc.nat({ max: 10_000 }),
    operation: fc.constantFrom("replace", "remove", "copyFrom", "rename", "wrap", "repeat", "nudge"),
    from: fc.nat({ max: 10_000 }),
    value: anyValue,
    word: fc.constantFrom(...words),
  }),
  { minLength: 1, maxLength: 3 },
);

type Container = { [key: string]: unknown } | unknown[];
interface Place {
  readonly owner: Container;
  readonly key: string;
}

/** A deep copy of `value` with the edits applied below its top level; `value` itself stays as it is. */
export function applyEdits(value: object, list: readonly Edit[]): object {
  const copy = structuredClone(value) as Container;
  for (const edit of list) applyEdit(copy, edit);
  return copy;
}

function applyEdit(root: Container, edit: Edit): void {
  const places = listPlaces(root);
  const place = places[edit.at % Math.max(1, places.length)];
  if (place === undefined) return;
  const { owner, key } = place;
  const current = Reflect.get(owner, key) as unknown;
  if (edit.operation === "remove") Reflect.deleteProperty(owner, key);
  else if (edit.operation === "rename") {
    Reflect.deleteProperty(owner, key);
    set(owner, edit.word, current);
  } else set(owner, key, newValue(current, edit, places));
}

function newValue(current: unknown, edit: Edit, places: readonly Place[]): unknown {
  const other = places[edit.from % Math.max(1, places.length)];
  switch (edit.operation) {
    case "copyFrom":
      return other === undefined ? current : structuredClone(Reflect.get(other.owner, other.key) as unknown);
    case "wrap":
      return [current];
    case "repeat":
      return Array.isArray(current) ? [...current, ...structuredClone(current)] : [current, current];
    case "nudge":
      return typeof current === "number" ? current + 1 : `${String(current)}${edit.word}`;
    default:
      return edit.value;
  }
}

/** Defines an own property also for keys such as "__proto__", as JSON.parse does. */
function set(owner: Container, key: string, value: unknown): void {
  Object.defineProperty(owner, key, { value, writable: true, enumerable: true, configurable: true });
}

function listPlaces(value: unknown): readonly Place[] {
  if (typeof value !== "object" || value === null) return [];
  const owner = value as Container;
  return Object.keys(owner).flatMap((key) => [{ owner, key }, ...listPlaces(Reflect.get(owner, key))]);
}
