/** Where a provider's keys come from: from its configuration, or from a server whose answer is kept for a time. */

import { durationToMs } from "@meltemi/protos";
import type { JwtProvider, RemoteJwks } from "@meltemi/protos/envoy/extensions/filters/http/jwt_authn/v3";
import { callCluster } from "../../calls/cluster-call.ts";
import type { ProxyEnv } from "../../config/env.ts";
import { HeaderList } from "../../http/header-list.ts";
import type { Timer } from "../../lib/clock.ts";
import { ConfigError, need, within } from "../../lib/config-error.ts";
import type { Counter } from "../../lib/stats.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";
import { readDataSource } from "../../router/data-source.ts";

import { type Jwks, parseJwks } from "./jwks.ts";
import { JwtError } from "./status.ts";

export interface KeySource {
  /** The keys where they are there now. */
  readonly current: Jwks | undefined;
  /** Fetches them. Rejects with JwtError. */
  load(): Promise<Jwks>;
  close(): void;
}

export interface KeySourceEnv extends Pick<ProxyEnv, "clock" | "clusters" | "log" | "random"> {
  readonly fetched: Counter;
  readonly failed: Counter;
}

/** The keys of a provider. Throws ConfigError. */
export function createKeySource(name: string, provider: JwtProvider, env: KeySourceEnv): KeySource {
  const { local_jwks: local, remote_jwks: remote } = provider;
  if (local) {
    const keys = within("local_jwks", () => readLocalKeys(name, Buffer.from(readDataSource(local)).toString("utf8")));
    return { current: keys, load: () => Promise.resolve(keys), close: () => undefined };
  }
  if (!remote) throw new ConfigError("", "local_jwks or remote_jwks is required");
  return within("remote_jwks", () => new RemoteKeys(remote, env));
}

function readLocalKeys(name: string, text: string): Jwks {
  try {
    return parseJwks(text);
  } catch (cause: unknown) {
    if (!(cause instanceof JwtError)) throw cause;
    throw new ConfigError("", `Provider '${name}' in jwt_authn config has invalid local jwks: ${cause.message}`);
  }
}

/** How long before their end keys that are fetched ahead are fetched anew. */
const headStartMs = 5000;

class RemoteKeys implements KeySource {
  readonly #env: KeySourceEnv;
  readonly #cluster: string;
  readonly #authority: string;
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #cacheMs: number;
  readonly #retries: number;
  readonly #backOff: { readonly baseMs: number; readonly maxMs: number };
  readonly #isAhead: boolean;
  readonly #refetchMs: number;
  #keys: Jwks | undefined;
  #expiresAt = 0;
  #loading: Promise<Jwks> | undefined;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(wire: RemoteJwks, env: KeySourceEnv) {
    const { uri, cluster, timeout } = need("http_uri", wire.http_uri);
    const url = parseUri(need("http_uri.uri", uri));
    this.#env = env;
    this.#cluster = need("http_uri.cluster", cluster);
    this.#authority = url.authority;
    this.#path = url.path;
    this.#timeoutMs = durationToMs(need("http_uri.timeout", timeout));
    this.#cacheMs = durationToMs(wire.cache_duration) ?? 600_000;
    this.#retries = wire.retry_policy ? wrappedNumber(wire.retry_policy.num_retries, 1) : 0;
    const baseMs = durationToMs(wire.retry_policy?.retry_back_off?.base_interval) ?? 200;
    this.#backOff = {
      baseMs,
      maxMs: durationToMs(wire.retry_policy?.retry_back_off?.max_interval) ?? baseMs * 10,
    };
    this.#isAhead = wire.async_fetch !== undefined;
    this.#refetchMs = durationToMs(wire.async_fetch?.failed_refetch_duration) ?? 1000;
    // The cluster may come after the filter.
    if (this.#isAhead) this.#timer = env.clock.after(0, () => this.#fetchAhead());
  }

  get current(): Jwks | undefined {
    return this.#isAhead || this.#env.clock.monotonic() < this.#expiresAt ? this.#keys : undefined;
  }

  load(): Promise<Jwks> {
    this.#loading ??= this.#fetch().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.close();
  }

  #fetchAhead(): void {
    this.load().then(
      () => this.#scheduleFetch(Math.max(this.#cacheMs - headStartMs, this.#cacheMs / 2)),
      () => this.#scheduleFetch(this.#refetchMs),
    );
  }

  #scheduleFetch(delayMs: number): void {
    if (!this.#isClosed) this.#timer = this.#env.clock.after(delayMs, () => this.#fetchAhead());
  }

  async #fetch(): Promise<Jwks> {
    const { clock, random, log, fetched, failed } = this.#env;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const keys = await this.#ask();
        fetched.inc();
        this.#keys = keys;
        this.#expiresAt = clock.monotonic() + this.#cacheMs;
        return keys;
      } catch (cause: unknown) {
        if (attempt >= this.#retries) {
          failed.inc();
          log.warn("keys for tokens could not be fetched", { cluster: this.#cluster, cause: String(cause) });
          throw new JwtError("jwksFetch");
        }
      }
      const { baseMs, maxMs } = this.#backOff;
      const delayMs = Math.min(maxMs, baseMs * 2 ** attempt) * random();
      await new Promise<void>((resolve) => clock.after(delayMs, resolve));
    }
  }

  async #ask(): Promise<Jwks> {
    const answer = await callCluster(this.#env, {
      cluster: this.#cluster,
      method: "GET",
      authority: this.#authority,
      path: this.#path,
      headers: new HeaderList(["x-envoy-internal", "true"]),
      timeoutMs: this.#timeoutMs,
    });
    if (answer.status !== 200) throw new JwtError("jwksFetch");
    return parseJwks(Buffer.from(answer.body).toString("utf8"));
  }
}

function parseUri(uri: string): { readonly authority: string; readonly path: string } {
  const [, authority = "", path = ""] = /^(?:[a-z]+:\/\/)?([^/?]+)(.*)$/i.exec(uri) ?? [];
  if (authority === "") throw new ConfigError("http_uri.uri", "names no host");
  return { authority, path: path === "" ? "/" : path };
}
