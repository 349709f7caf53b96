import { type Json, toJson } from "@meltemi/protos";
import type { Named } from "./fetch-resources.ts";

/** Messages that the recorder of the reference did not know; it printed their type and bytes. */
const unlinkedTypes: ReadonlySet<string> = new Set([
  "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
  "stats.PluginConfig",
]);

/**
 * A resource in the form of the recordings: canonical JSON with Envoy's names, unknown extensions as "unlinked", and
 * "@type" at the top only where every extension was known.
 */
export function formatRecorded({ typeName, message }: Named): Json {
  let hasUnlinked = false;
  const json = toJson(typeName, message, {
    opaqueTypes: unlinkedTypes,
    unknownAny: ({ type_url = "", value = new Uint8Array() }) => {
      hasUnlinked = true;
      return {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        value: `unlinked ${type_url} ${Buffer.from(value).toString("base64")}`,
      };
    },
  });
  return hasUnlinked ? json : { "@type": `type.googleapis.com/${typeName}`, ...(json as object) };
}
