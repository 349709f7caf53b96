/** The platform's contexts of a server: one for each name that has certificates of its own. */
import { createHash, hkdfSync } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { ConfigError } from "../lib/config-error.ts";
import type { KeyPair } from "./key-pair.ts";

export interface ServerContexts {
  /** Without a name, or with one that no certificate has. */
  readonly fallback: SecureContext;
  /** Undefined: the fallback does. */
  find(serverName: string): SecureContext | undefined;
}

/** Builds them. Throws ConfigError for keys that do not belong to their certificates. */
export function buildServerContexts(pairs: readonly KeyPair[], options: SecureContextOptions): ServerContexts {
  const [first] = pairs;
  const fallback = buildContext(pairs.length === 1 && first ? [first] : pickKinds(pairs), options);
  const byName = new Map<string, KeyPair[]>();
  if (pairs.length > 1) {
    for (const pair of pairs) for (const name of pair.names) byName.set(name, [...(byName.get(name) ?? []), pair]);
  }
  const contexts = new Map<string, SecureContext>();
  for (const [name, own] of byName) contexts.set(name, buildContext(pickKinds(own), options));
  return {
    fallback,
    find(serverName) {
      const name = serverName.toLowerCase();
      const dot = name.indexOf(".");
      return contexts.get(name) ?? (dot > 0 ? contexts.get(`*${name.slice(dot)}`) : undefined);
    },
  };
}

/** The first certificate of each kind of key: which one is shown depends on what the client can verify. */
function pickKinds(pairs: readonly KeyPair[]): readonly KeyPair[] {
  const kinds = new Map<string, KeyPair>();
  for (const pair of pairs) if (!kinds.has(pair.keyType)) kinds.set(pair.keyType, pair);
  return [...kinds.values()];
}

/** One context with these certificates. Throws ConfigError. */
export function buildContext(pairs: readonly KeyPair[], options: SecureContextOptions): SecureContext {
  const opened = pairs.flatMap(({ options: pair }) => (pair.pfx === undefined ? [] : [pair]));
  const plain = pairs.flatMap(({ options: { cert, key, passphrase } }) => {
    if (cert === undefined || key === undefined) return [];
    return [{ cert: Buffer.from(String(cert)), key: { pem: Buffer.from(String(key)), passphrase } }];
  });
  try {
    return createSecureContext({
      ...options,
      ...(plain.length > 0 && { cert: plain.map(({ cert }) => cert), key: plain.map(({ key }) => toKeyObject(key)) }),
      ...opened[0],
    });
  } catch (cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError("", `Failed to load certificates or keys: ${reason}`);
  }
}

function toKeyObject({ pem, passphrase }: { readonly pem: Buffer; readonly passphrase: string | undefined }): {
  readonly pem: Buffer;
  readonly passphrase?: string;
} {
  return passphrase === undefined ? { pem } : { pem, passphrase };
}

/**
 * Keys for session tickets in the platform's form from Envoy's (80 bytes each). Envoy's own tickets cannot be read with
 * them; those of other companions with the same keys can. Only the first key is used: a ticket of an older one leads to a
 * whole handshake, which is no other answer.
 */
export function deriveTicketKeys(key: Buffer): Buffer {
  if (key.length !== 80)
    throw new ConfigError(
      "session_ticket_keys.keys",
      `Incorrect TLS session ticket key length: ${key.length}, expected 80`,
    );
  return Buffer.from(hkdfSync("sha256", key, "", "session ticket keys", 48));
}

/** Sessions are resumed only among contexts that trust and show the same. */
export function nameSessionContext(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}
