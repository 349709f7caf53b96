import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { Proxy as MeshProxy } from "../../model/proxy.ts";
import type { PrivateKeyProvider } from "./build-secret.ts";

/**
 * What computes with private keys for a proxy: what its own metadata PROXY_CONFIG says, else the mesh's default. Undefined
 * for Envoy itself, which also does it where the proxy lists its extensions and the provider is not among them.
 */
export function findPrivateKeyProvider(mesh: MeshConfig, proxy: MeshProxy): PrivateKeyProvider | undefined {
  const provider = proxy.config?.privateKeyProvider ?? mesh.defaultConfig?.privateKeyProvider;
  if (provider === undefined) return undefined;
  const name = provider.cryptomb === undefined ? "qat" : "cryptomb";
  if (provider[name] === undefined) return undefined;
  return proxy.extensions === undefined || proxy.extensions.has(name) ? provider : undefined;
}
