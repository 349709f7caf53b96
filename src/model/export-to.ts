/** Sets of namespaces that a thing is visible to, as `exportTo` states them. */

const everyone: ReadonlySet<string> = new Set(["*"]);

/**
 * Parses a list of `exportTo`: "*" swallows all others, "~" swallows all but "*", blank entries are skipped. The default
 * holds where the list is empty; without one, everybody sees the thing. Never empty. Istio: model/push_context.go.
 */
export function parseExportTo(stated: readonly string[], defaults: readonly string[] = []): ReadonlySet<string> {
  const names = stated.map((name) => name.trim()).filter((name) => name !== "");
  const effective = names.length > 0 ? names : defaults;
  if (effective.length === 0 || effective.includes("*")) return everyone;
  if (effective.includes("~")) return new Set(["~"]);
  return new Set([...effective].sort());
}

/** True where a thing of `namespace` with this `exportTo` may be used from the namespace `from`. */
export function isVisibleFrom(exportTo: ReadonlySet<string>, namespace: string, from: string): boolean {
  return exportTo.has("*") || exportTo.has(from) || (exportTo.has(".") && namespace === from);
}
