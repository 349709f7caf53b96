/** One name that is resolved again and again as long as somebody wants it. */
import type { Cluster_DnsLookupFamily } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { DnsTimes } from "./dns-config.ts";
import type { DnsResolver, ResolvedAddress } from "./dns-resolver.ts";

export interface ResolveLoopOptions {
  readonly name: string;
  readonly family: Cluster_DnsLookupFamily;
  readonly resolver: DnsResolver;
  readonly times: DnsTimes;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onAsk?: () => void;
  /** An answer, perhaps without any address. */
  readonly onAnswer: (addresses: readonly ResolvedAddress[]) => void;
  /** No answer: what was known stays. */
  readonly onFailure: (cause: unknown) => void;
}

export class ResolveLoop {
  readonly #options: ResolveLoopOptions;
  /** Resolves when the first question was answered or failed. */
  readonly ready: Promise<void>;
  #timer: Timer | undefined;
  #isClosed = false;
  #failureMs: number;

  constructor(options: ResolveLoopOptions) {
    this.#options = options;
    this.#failureMs = options.times.failure?.baseMs ?? 0;
    this.ready = this.#ask();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.close();
  }

  async #ask(): Promise<void> {
    const { name, family, resolver, onAsk, onAnswer, onFailure } = this.#options;
    onAsk?.();
    try {
      const addresses = await resolver.resolve(name, family);
      if (this.#isClosed) return;
      onAnswer(addresses);
      this.#failureMs = this.#options.times.failure?.baseMs ?? 0;
      this.#wait(this.#afterAnswer(addresses));
    } catch (cause: unknown) {
      if (this.#isClosed) return;
      onFailure(cause);
      this.#wait(this.#afterFailure());
    }
  }

  #wait(delayMs: number): void {
    const { clock } = this.#options;
    this.#timer = clock.after(delayMs, () => void this.#ask());
  }

  #afterAnswer(addresses: readonly ResolvedAddress[]): number {
    const { times, random } = this.#options;
    const ttls = addresses.flatMap(({ ttlMs }) => (ttlMs === undefined ? [] : [ttlMs]));
    const ttlMs = Math.min(...ttls);
    const isByTtl = times.respectsTtl && ttls.length > 0 && ttlMs > 0;
    const delayMs = Math.max(isByTtl ? ttlMs : times.refreshMs, times.minRefreshMs);
    return delayMs + random() * times.jitterMs;
  }

  /** Doubles up to the greatest; drawn below that, so that proxies do not ask at once. */
  #afterFailure(): number {
    const { times, random } = this.#options;
    if (times.failure === undefined) return times.refreshMs + random() * times.jitterMs;
    const below = this.#failureMs;
    this.#failureMs = Math.min(times.failure.maxMs, below * 2);
    return Math.max(1, random() * below);
  }
}
