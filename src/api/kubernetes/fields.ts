/** Reads single fields of Kubernetes objects: absent is undefined, a wrong type is a finding, nothing ever throws. */
import type { Findings, Path } from "../findings.ts";
import type { Labels } from "../object.ts";
import { describeType } from "../plain-value.ts";
import { isAddress } from "../rules.ts";

/** One object of a Kubernetes object, at a path. Only own fields are seen. */
export interface FieldReader {
  readonly path: Path;
  text(name: string): string | undefined;
  flag(name: string): boolean | undefined;
  /** A port from 1 to 65535, as a whole number. */
  port(name: string): number | undefined;
  /** A port that may be written as 0 where there is none; undefined for 0. */
  portOrZero(name: string): number | undefined;
  /** A list of IP addresses; other texts are findings and left out. "" is left out without a word. */
  addresses(name: string): readonly string[];
  /** An IP address; undefined for "". */
  address(name: string): string | undefined;
  textOrNumber(name: string): string | number | undefined;
  /** An object's field as a reader; an empty one where the field is absent or wrong. */
  object(name: string): FieldReader;
  /** The objects of a list; wrong items are left out. */
  objects(name: string): readonly FieldReader[];
  texts(name: string): readonly string[];
  labels(name: string): Labels | undefined;
  has(name: string): boolean;
}

export function createFieldReader(value: unknown, path: Path, findings: Findings): FieldReader {
  const record = asRecord(value, path, findings);
  const field = (name: string): unknown => {
    const found = record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
    return found === null ? undefined : found;
  };
  const wrong = (name: string, expected: string): undefined => {
    findings.error([...path, name], `must be ${expected}, not ${describeType(field(name))}`, "wrong-type");
    return undefined;
  };
  const list = (name: string): readonly unknown[] => {
    const found = field(name);
    if (found === undefined) return [];
    return Array.isArray(found) ? found : (wrong(name, "a list") ?? []);
  };
  const text = (name: string): string | undefined => {
    const found = field(name);
    return found === undefined || typeof found === "string" ? found : wrong(name, "a string");
  };
  const texts = (name: string): readonly string[] =>
    list(name).filter((item, index): item is string => isText(item, [...path, name, index], findings));
  const port = (name: string): number | undefined => {
    const found = field(name);
    if (found === undefined || isPort(found)) return found;
    findings.error([...path, name], "must be a port from 1 to 65535", "port");
    return undefined;
  };
  const isIpText = (item: string, at: Path): boolean => {
    if (isAddress(item)) return true;
    if (item !== "") findings.error(at, `"${item.slice(0, 100)}" is not an IP address`, "address");
    return false;
  };
  return {
    path,
    text,
    texts,
    port,
    portOrZero: (name) => (field(name) === 0 ? undefined : port(name)),
    addresses: (name) => texts(name).filter((item, index) => isIpText(item, [...path, name, index])),
    address: (name) => {
      const found = text(name);
      return found !== undefined && isIpText(found, [...path, name]) ? found : undefined;
    },
    flag: (name) => {
      const found = field(name);
      return found === undefined || typeof found === "boolean" ? found : wrong(name, "a boolean");
    },
    textOrNumber: (name) => {
      const found = field(name);
      if (found === undefined || typeof found === "string") return found;
      return typeof found === "number" && Number.isInteger(found) ? found : wrong(name, "a number or a string");
    },
    object: (name) => createFieldReader(field(name), [...path, name], findings),
    objects: (name) =>
      list(name).flatMap((item, index) => {
        const at = [...path, name, index];
        return asRecord(item ?? "nothing", at, findings) === undefined ? [] : [createFieldReader(item, at, findings)];
      }),
    labels: (name) => readLabels(field(name), [...path, name], findings),
    has: (name) => field(name) !== undefined,
  };
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535;
}

function asRecord(value: unknown, path: Path, findings: Findings): { readonly [name: string]: unknown } | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "object" && !Array.isArray(value)) return value as { readonly [name: string]: unknown };
  findings.error(path, `must be an object, not ${describeType(value)}`, "wrong-type");
  return undefined;
}

function isText(item: unknown, path: Path, findings: Findings): boolean {
  if (typeof item === "string") return true;
  findings.error(path, `must be a string, not ${describeType(item)}`, "wrong-type");
  return false;
}

function readLabels(value: unknown, path: Path, findings: Findings): Labels | undefined {
  const record = asRecord(value, path, findings);
  if (record === undefined) return undefined;
  // As in Go, null stands for the empty text.
  const entries = Object.entries(record).map(([name, item]) => [name, item ?? ""] as const);
  const valid = entries.filter(([name, item]) => name !== "__proto__" && isText(item, [...path, name], findings));
  return Object.fromEntries(valid.map(([name, item]) => [name, String(item)]));
}
