import { createFindings } from "../api/findings.ts";
import { copyPlain, type PlainValue } from "../api/plain-value.ts";

/** Longest JSON in an annotation; Kubernetes holds all annotations of an object to 256 KiB. */
const longest = 262_144;

/** Parses JSON of somebody else into data that is safe to walk; undefined where it is none. */
export function parseJson(text: string): PlainValue | undefined {
  if (text.length > longest) return undefined;
  try {
    const findings = createFindings();
    const value = copyPlain(JSON.parse(text), [], findings);
    return findings.all.length > 0 ? undefined : value;
  } catch {
    return undefined;
  }
}
