/** The package that writes signing requests, loaded when the first one is made: it takes some 0.2 s. */
import { webcrypto } from "node:crypto";

let loading: Promise<typeof import("@peculiar/x509")> | undefined;

export function loadX509(): Promise<typeof import("@peculiar/x509")> {
  loading ??= load();
  return loading;
}

async function load(): Promise<typeof import("@peculiar/x509")> {
  // The package finds its parts by decorators, which need this first.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  x509.cryptoProvider.set(webcrypto);
  return x509;
}
