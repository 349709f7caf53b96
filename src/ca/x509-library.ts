/** The package that builds certificates, loaded when the first one is made: it takes some 0.2 s. */
import { webcrypto } from "node:crypto";

export type X509Library = typeof import("@peculiar/x509");

let loading: Promise<X509Library> | undefined;

export function loadX509(): Promise<X509Library> {
  loading ??= load();
  return loading;
}

async function load(): Promise<X509Library> {
  // The package finds its parts by decorators, which need this first.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  x509.cryptoProvider.set(webcrypto);
  return x509;
}
