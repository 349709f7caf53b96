import { sortEntries } from "../../lib/text-order.ts";

/**
 * One text for a plain value, the same for equal values: object fields in order of their names, sets sorted, absent and
 * undefined fields alike. Every field counts, so that a key cannot forget one.
 */
export function canonicalText(value: unknown): string {
  if (value instanceof Set)
    return `{${[...value]
      .map((item) => canonicalText(item))
      .sort()
      .join()}}`;
  if (Array.isArray(value)) return `[${value.map((item) => canonicalText(item)).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = sortEntries(Object.entries(value).filter(([, field]) => field !== undefined));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonicalText(field)}`).join()}}`;
}
