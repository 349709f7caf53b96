/** Filters whose configuration comes by name (ECDS). */
import { isTypeName, typeNameOf, unpackAny } from "@meltemi/protos";
import type { TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { DumpedResource } from "../admin/types.ts";
import type { ExtensionConfigs } from "../config/env.ts";
import type { Clock } from "../lib/clock.ts";
import { ConfigError, need } from "../lib/config-error.ts";
import type { Stats } from "../lib/stats.ts";
import type { ConfigSources } from "./config-sources.ts";
import { dumpEntries } from "./dump-entries.ts";
import { NamedResources } from "./named-resources.ts";
import { resourceTypes } from "./resource-types.ts";
import type { ResourceMessage } from "./resource-update.ts";
import { createSubscriptionStats } from "./subscription-stats.ts";

export interface ExtensionConfigsOptions {
  readonly sources: Pick<ConfigSources, "subscribe">;
  readonly clock: Clock;
  readonly stats: Stats;
  readonly hash: (text: string) => number;
}

export interface DynamicExtensionConfigs extends ExtensionConfigs {
  dump(): readonly DumpedResource<unknown>[];
  close(): void;
}

interface Extension {
  readonly wire: TypedExtensionConfig;
  readonly typeName: string;
  readonly message: Readonly<Record<string, unknown>>;
}

export function createExtensionConfigs({
  sources,
  clock,
  stats,
  hash,
}: ExtensionConfigsOptions): DynamicExtensionConfigs {
  const configs = new NamedResources<Extension>({ type: resourceTypes.ecds, compile: unpack, sources, clock });
  return {
    open(name, onUpdate, from) {
      const scope = (from?.stats ?? stats).scope(`extension_config_discovery.http_filter.${name}`);
      const reloads = scope.counter("config_reload");
      const counts = createSubscriptionStats(scope, { hash, now: () => clock.now() });
      const slot = configs.open(name, { source: from?.source, stats: { ...counts, changed: () => reloads.inc() } });
      const tell = (): void => {
        if (slot.current !== undefined) onUpdate(slot.current.typeName, slot.current.message);
      };
      slot.onChange(tell);
      try {
        tell();
      } catch (cause: unknown) {
        slot.close();
        throw cause;
      }
      return slot;
    },
    dump: () => dumpEntries(configs.list(), ({ wire }) => wire),
    close: () => configs.close(),
  };
}

function unpack(message: ResourceMessage): Extension {
  const wire = message as TypedExtensionConfig;
  const any = need("typed_config", wire.typed_config);
  const typeName = typeNameOf(any.type_url ?? "");
  if (!isTypeName(typeName)) throw new ConfigError("typed_config", `the extension ${typeName} is not known`);
  return { wire, ...unpackAny(any) };
}
