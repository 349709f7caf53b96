/** Random edits of plain values, described by numbers so that fast-check can shrink them. */
import fc from "fast-check";

export interface Edit {
  /** Picks the place: the nth of all values in the object. */
  readonly at: number;
  readonly operation: "replace" | "remove" | "copyFrom" | "rename" | "wrap" | "repeat" | "nudge" | "alike";
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
  "400000000000s",
  "0.1ns",
  "1ms",
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
  "\ud800",
  "é世",
  "unix:///tmp/x",
  "/c.pem",
  "a.example.com",
  "x.b.example.com",
  "*-b.example.com",
  "cart-v1",
  "quiet/*",
  "./*",
  "10.50.0.2",
  "10.60.0.11",
  "fd00::/8",
  "0.0.0.0/0",
  "HTTP2",
  "HTTP_PROXY",
  "AUTO_PASSTHROUGH",
  "OPTIONAL_MUTUAL",
  "PERMISSIVE",
  "STRICT",
  "DNS_ROUND_ROBIN",
  "LEAST_REQUEST",
  "ALLOW_ANY",
  "MESH_EXTERNAL",
  "IPTABLES",
  "__proto__",
  "constructor",
  "x".repeat(300),
  "region/zone/subzone",
  ":authority",
  "{{ .x }}",
  "\n",
];

const numbers = [
  0, 1, -1, 2, 80, 100, 443, 8080, 9000, 15001, 15006, 65535, 65536, 2147483648, 4294967295, 4294967296, 1e21, 0.5,
];

const leaf = fc.oneof(
  fc.constantFrom(...words),
  fc.constantFrom<unknown>(null, true, false, ...numbers),
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
    // A value of another type is mostly refused, so values of the same one come up more often.
    operation: fc.oneof(
      { weight: 2, arbitrary: fc.constantFrom("alike") },
      { weight: 3, arbitrary: fc.constantFrom("replace", "remove", "copyFrom", "rename", "wrap", "repeat", "nudge") },
    ),
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
    // A list has no names: neither JSON nor YAML can give one a member such as "constructor".
    if (!Array.isArray(owner)) set(owner, edit.word, current);
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
    case "alike":
      return valueLike(current, edit);
    case "nudge":
      return typeof current === "number"
        ? current + 1
        : `${typeof current === "string" ? current : JSON.stringify(current)}${edit.word}`;
    default:
      return edit.value;
  }
}

/** Another value of the same type, and a list the other way round. */
function valueLike(current: unknown, edit: Edit): unknown {
  if (typeof current === "number") return numbers[edit.from % numbers.length];
  if (typeof current === "boolean") return !current;
  if (typeof current === "string") return textLike(current, edit);
  return Array.isArray(current) ? current.toReversed() : edit.value;
}

/** What texts look like whose place takes nothing else: durations, addresses, enum names, paths, hosts. */
const shapes = [/^-?[0-9.]+(ns|ms|s|m|h)/, /^[0-9.:/]+$/, /^[A-Z_]{3,}$/, /^\/|^unix:/, /^[a-z*~.][-a-z0-9*./]*$/];

/** A word that looks the same in every other case: most others would be refused at once. */
function textLike(current: string, { word, from }: Edit): string {
  const shape = shapes.find((candidate) => candidate.test(current));
  if (shape === undefined || from % 2 === 0) return word;
  const alike = words.filter((candidate) => shape.test(candidate));
  return alike[from % alike.length] ?? word;
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
