/** xDS over TLS: needs a certificate, which may take its time; proxies in plain text never wait for it. */
import type { Authority } from "../ca/authority.ts";
import type { LiveAuthority } from "../ca/live-authority.ts";
import type { ServingCertificates } from "../ca/serving-certificates.ts";
import { listCrls, mergeRoots } from "../ca/trust-bundle.ts";
import { formatListenAddress } from "../config/flag.ts";
import type { Flags } from "../config/flags.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { DiscoveryServer } from "../xds/discovery-server.ts";
import type { TlsMaterial, TlsSource } from "../xds/transport.ts";
import { type PatientStart, startPatiently, waitForCertificate } from "./certificate-wait.ts";
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
  #start: PatientStart | undefined;
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
    this.#start = startPatiently(() => this.#begin(), this.#waiting());
    await this.#start.started;
  }

  /** The discovery server itself ends the streams. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#start?.ended;
    for (const end of this.#ends) end();
  }

  async #begin(): Promise<void> {
    const { signal } = this.#stopping;
    const tls = await waitForCertificate(() => this.#tryTls(), this.#waiting());
    if (tls === undefined || signal.aborted) return;
    this.#address = await this.#options.discovery.start(this.#wanted, tls);
  }

  #waiting(): Parameters<typeof waitForCertificate>[1] {
    const { flags, clock, log } = this.#options;
    // Of a directory somebody waits for the answer; a Secret that cannot be used is for somebody to put right.
    return { clock, log, signal: this.#stopping.signal, name: this.name, isStrict: flags.configDir !== "" };
  }

  /** Undefined where this control plane shows no certificate. */
  async #tryTls(): Promise<TlsSource | undefined> {
    const { authority, log } = this.#options;
    const { signal } = this.#stopping;
    let current = await authority.load(signal);
    const certificates = await createOwnCertificates({ ...this.#options, signal });
    if (certificates === undefined) {
      log.warn("xDS over TLS is not served: this control plane has no certificate");
      return undefined;
    }
    const listeners = new Set<() => void>();
    this.#ends.push(
      authority.onChange((next) => {
        current = next;
        for (const run of listeners) run();
      }),
      () => certificates.stop(),
    );
    return {
      current: () => readMaterial(certificates, current),
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
function readMaterial(certificates: ServingCertificates, { roots, crl }: Authority): TlsMaterial {
  const { chain, privateKey, roots: own } = certificates.current();
  const clientRoots = mergeRoots(roots, own);
  return { chain, privateKey, clientRoots, ...(crl === undefined ? {} : { clientCrls: listCrls(crl) }) };
}
