import { Gauge, type Registry } from "prom-client";

/** When the certificates of the authority end, in milliseconds since the epoch. */
export interface AuthorityEnds {
  readonly rootMs: number;
  /** Of the certificate that signs; undefined where that is the root. */
  readonly chainMs: number | undefined;
}

export interface AuthoritySource {
  /** Undefined as long as it is not known. */
  ends(): AuthorityEnds | undefined;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Adds istiod's gauges for the end of the authority (security/pkg/server/ca/monitoring.go). */
export function addAuthorityGauges(registry: Registry, source: AuthoritySource): void {
  const add = (name: string, help: string, read: () => number | undefined): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const value = read();
        // What is not known is not shown: 0 would mean that it has ended.
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  };
  const parts = [
    ["root_cert", "the root cert", () => source.ends()?.rootMs],
    ["cert_chain", "the Istio generated cert chain", () => source.ends()?.chainMs],
  ] as const;
  for (const [part, words, readMs] of parts) {
    add(`citadel_server_${part}_expiry_timestamp`, `The unix timestamp, in seconds, when ${words} will expire.`, () => {
      const endMs = readMs();
      return endMs === undefined ? undefined : Math.floor(endMs / 1000);
    });
    const help = `The time remaining, in seconds, before ${words} will expire. Negative where it has expired.`;
    add(`citadel_server_${part}_expiry_seconds`, help, () => {
      const endMs = readMs();
      return endMs === undefined ? undefined : (endMs - source.now()) / 1000;
    });
  }
}
