/** Resources by name as /config_dump shows them. */
import type { DumpedResource } from "../admin/types.ts";
import type { EntryView } from "./named-resources.ts";

export function dumpEntries<Value, Resource>(
  entries: readonly EntryView<Value>[],
  wireOf: (value: Value) => Resource,
): readonly DumpedResource<Resource>[] {
  return entries.flatMap(({ name, value, version, updatedAt, error }) =>
    value === undefined
      ? []
      : {
          resource: wireOf(value),
          isStatic: false,
          isWarming: false,
          ...{ name, version, updatedAt },
          ...(error === undefined ? {} : { error }),
        },
  );
}
