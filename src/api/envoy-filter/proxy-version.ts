import { RE2JS } from "re2js";
import { memoByIdentity } from "../../lib/memo.ts";
import type { ConfigPatch } from "./schema.ts";

/** Longer expressions cost too much to compile: they match no proxy (Istio: model/envoyfilter.go, maxProxyVersionLen). */
export const maxVersionLength = 1024;

type ProxyMatch = NonNullable<NonNullable<ConfigPatch["match"]>["proxy"]>;

/** True where the version (metadata ISTIO_VERSION, "" where there is none) is one that a patch is for. */
export function matchesProxyVersion(proxy: ProxyMatch, version: string): boolean {
  const expression = proxy.proxyVersion ?? "";
  if (expression === "") return true;
  if (version === "") return false;
  return compileVersion(proxy)?.matcher(version).find() ?? false;
}

const compileVersion = memoByIdentity(({ proxyVersion = "" }: ProxyMatch): RE2JS | undefined => {
  if (proxyVersion.length > maxVersionLength) return undefined;
  try {
    return RE2JS.compile(proxyVersion);
  } catch {
    // Checked when the object was read; what came by without a check matches nothing.
    return undefined;
  }
});
