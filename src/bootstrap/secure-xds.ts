/** xDS over TLS: needs a certificate, which may take its time; proxies in plain text never wait for it. */
import { AuthorityStoreError } from "../ca/authority-store.ts";
import type { LiveAuthority } from "../ca/live-authority.ts";
import type { ServingCertificates } from "../ca/serving-certificates.ts";
import { formatListenAddress } from "../config/flag.ts";
import type { Flags } from "../config/flags.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/pause.ts";
import type { DiscoveryServer } from "../xds/discovery-server.ts";
import type { TlsSource } from "../xds/transport.ts";
import { createOwnCertificates } from "./mesh-authority.ts";
import type { Runner } from "./runners.ts";

export interface SecureXdsOptions {
  readonly flags: Flags;
  readonly authority: LiveAuthority;
  readonly discovery: DiscoveryServer;
  readonly clock: Clock;
  readonly log: Log;
}

export interface SecureXds extends Runner {
  /** "host:port" as it was taken; "" as long as nothing listens. */
  address(): string;
}

const patienceMs = 10_000;
const retryMs = 30_000;

/** Undefined where the flags switch it off. */
export function createSecureXds(options: SecureXdsOptions): SecureXds | undefined {
  const { secureGrpcAddr } = options.flags;
  return secureGrpcAddr === undefined ? undefined : new Serving(options, formatListenAddress(secureGrpcAddr));
}

class Serving implements SecureXds {
  readonly name = "xds over TLS";
  readonly #options: SecureXdsOptions;
  readonly #wanted: string;
  readonly #stopping = new AbortController();
  readonly #ends: (() => void)[] = [];
  #begun: Promise<void> = Promise.resolve();
  #address = "";

  constructor(options: SecureXdsOptions, wanted: string) {
    this.#options = options;
    this.#wanted = wanted;
  }

  address(): string {
    return this.#address;
  }

  /** Resolves when it is served, or after a while without; it goes on trying then. Rejects where the port is taken. */
  async start(): Promise<void> {
    let isWaiting = true;
    this.#begun = this.#begin().catch((cause: unknown) => {
      if (isWaiting) throw cause;
      this.#options.log.error("xDS over TLS is not served", { error: cause });
    });
    await Promise.race([this.#begun, pause(this.#options.clock, patienceMs, this.#stopping.signal)]);
    isWaiting = false;
  }

  /** The discovery server itself ends the streams. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#begun.catch(() => undefined);
    for (const end of this.#ends) end();
  }

  async #begin(): Promise<void> {
    const { signal } = this.#stopping;
    const tls = await this.#loadTls();
    if (tls === undefined || signal.aborted) return;
    this.#address = await this.#options.discovery.start(this.#wanted, tls);
  }

  /** Undefined only where it was stopped meanwhile. */
  async #loadTls(): Promise<TlsSource | undefined> {
    const { flags, clock, log } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        return await this.#tryTls();
      } catch (cause) {
        if (signal.aborted) return undefined;
        // Of a directory somebody waits for the answer; a Secret that cannot be used is for somebody to put right.
        if (!(cause instanceof AuthorityStoreError) || flags.configDir !== "") throw cause;
        log.error("xDS over TLS has no certificate, it is tried again", { error: cause, retryMs });
        await pause(clock, retryMs, signal);
      }
    }
    return undefined;
  }

  async #tryTls(): Promise<TlsSource> {
    const { authority } = this.#options;
    const { signal } = this.#stopping;
    const [first, certificates] = [
      await authority.load(signal),
      await createOwnCertificates({ ...this.#options, signal }),
    ];
    let { roots } = first;
    const listeners = new Set<() => void>();
    this.#ends.push(
      authority.onChange((next) => {
        roots = next.roots;
        for (const run of listeners) run();
      }),
      () => certificates.stop(),
    );
    return {
      current: () => readMaterial(certificates, roots),
      onChange(run) {
        listeners.add(run);
        const end = certificates.onChange(run);
        return () => {
          listeners.delete(run);
          end();
        };
      },
    };
  }
}

/** Clients may be certified by our authority, and by the one behind certificate files. */
function readMaterial(certificates: ServingCertificates, roots: string): ReturnType<TlsSource["current"]> {
  const { chain, privateKey, roots: own } = certificates.current();
  return { chain, privateKey, clientRoots: own === roots ? roots : `${roots}${own}` };
}
