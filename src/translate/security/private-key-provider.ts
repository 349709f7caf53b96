import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { Proxy as MeshProxy } from "../../model/proxy.ts";
import type { PrivateKeyProvider } from "./build-secret.ts";

/**
 * What computes with private keys for a proxy: what its own metadata PROXY_CONFIG says, else the mesh's default. Undefined
 * for Envoy itself, which also does it where the proxy lists its extensions and the provider is not among them.
 */
export function findPrivateKeyProvider(mesh: MeshConfig, proxy: MeshProxy): PrivateKeyProvider | undefined {
  const provider = readOwnProvider(proxy) ?? mesh.defaultConfig?.privateKeyProvider;
  if (provider === undefined) return undefined;
  const name = provider.cryptomb === undefined ? "qat" : "cryptomb";
  if (provider[name] === undefined) return undefined;
  return proxy.extensions === undefined || proxy.extensions.has(name) ? provider : undefined;
}

/** Metadata is what the proxy says: every part of it is looked at before it is used. */
const readOwnProvider = memoByIdentity((proxy: MeshProxy): PrivateKeyProvider | undefined => {
  const provider = fieldOf(fieldOf(proxy.metadata, "PROXY_CONFIG"), "privateKeyProvider");
  for (const name of ["cryptomb", "qat"] as const) {
    const settings = fieldOf(provider, name);
    if (typeof settings !== "object" || settings === null) continue;
    const [pollDelay, fallback] = [fieldOf(settings, "pollDelay"), fieldOf(settings, "fallback")];
    return {
      [name]: {
        ...(typeof pollDelay === "string" ? { pollDelay } : {}),
        ...(typeof fallback === "boolean" ? { fallback } : {}),
      },
    };
  }
  return undefined;
});

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as { readonly [field: string]: unknown })[name];
}
