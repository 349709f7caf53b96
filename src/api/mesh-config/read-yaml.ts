import { parse as parseYaml } from "yaml";
import { createFindings, type Findings } from "../findings.ts";
import { copyPlain, describeType, type PlainObject, type PlainValue } from "../plain-value.ts";

/** Reads YAML text, or plain data, that must be one object; nothing at all is an empty one. Undefined where it is none. */
export function readYamlObject(content: unknown, findings: Findings): PlainObject | undefined {
  let value = content;
  if (typeof content === "string") {
    try {
      value = parseYaml(content, { maxAliasCount: 100, logLevel: "error", uniqueKeys: true });
    } catch (cause: unknown) {
      const reason = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
      findings.error([], `is not valid YAML: ${reason}`, "yaml");
      return undefined;
    }
  }
  const inner = createFindings();
  const plain = copyPlain(value ?? {}, [], inner);
  for (const { path, text, code } of inner.all) findings.error(path, text, code);
  if (plain === undefined || isPlainObject(plain)) return plain;
  findings.error([], `must be an object, not ${describeType(plain)}`, "wrong-type");
  return undefined;
}

export function isPlainObject(value: PlainValue | undefined): value is PlainObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
