/** Credentials of the agent in files, read again for each connection: others renew them. */
import { join } from "node:path";
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import { SecretText } from "../../../../src/lib/secret-text.ts";
import { parseKeyPair } from "./key-pair.ts";
import type { ClientCertificate } from "./upstream.ts";
import { readText } from "./watched-files.ts";

/** Reads the service account's token; undefined where the file is missing or empty. */
export function createTokenFile(path: string): () => Promise<SecretText | undefined> {
  return async () => {
    const text = readText(path)?.trim() ?? "";
    return text === "" ? undefined : new SecretText(text);
  };
}

export interface ProvisionedOptions {
  /** Holds cert-chain.pem and key.pem (PROV_CERT). */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Reads the certificate by which a machine outside Kubernetes proves who it is; undefined where there is none, or it has
 * expired: then the token has to do. With the same directory in OUTPUT_CERTS each certificate pays for the next.
 */
export function createProvisionedCertificate(options: ProvisionedOptions): () => ClientCertificate | undefined {
  const { directory, clock, log } = options;
  return () => {
    const [chain, key] = [readText(join(directory, "cert-chain.pem")), readText(join(directory, "key.pem"))];
    if (chain === undefined || key === undefined) return undefined;
    try {
      return parseKeyPair(chain, key, clock.now());
    } catch (error: unknown) {
      log.warn("the provisioned certificate cannot be used", { error, directory });
      return undefined;
    }
  };
}
