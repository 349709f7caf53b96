/**
 * Secrets by name (docs: configuration/security/secret): those of the bootstrap, or by SDS from files, a stream of their
 * own or the aggregated one. What a secret says is in files is read here, and read again when they are replaced.
 */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import type { DataSource } from "@meltemi/protos/envoy/config/core/v3";
import type { SdsSecretConfig, Secret } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import type { Clock } from "../lib/clock.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import type { Log } from "../lib/log.ts";
import type { Stats } from "../lib/stats.ts";
import type { ConfigSources } from "../xds/config-sources.ts";
import { NamedResources, type ResourceSlot } from "../xds/named-resources.ts";
import { resourceTypes } from "../xds/resource-types.ts";
import { createSubscriptionStats } from "../xds/subscription-stats.ts";
import { watchDirectory } from "../xds/watched-directory.ts";
import type { SecretProvider, SecretSlot } from "./types.ts";

export interface SecretsOptions {
  readonly sources: Pick<ConfigSources, "subscribe">;
  /** static_resources.secrets */
  readonly secrets: readonly Secret[];
  readonly clock: Clock;
  readonly log: Log;
  readonly stats: Stats;
  readonly hash: (text: string) => number;
}

export interface Secrets extends SecretProvider {
  close(): void;
}

/** Throws ConfigError for a secret of the bootstrap that cannot be read. */
export function createSecrets({ sources, secrets, clock, log, stats, hash }: SecretsOptions): Secrets {
  const fixed = new Map<string, FileSecret>();
  const open = new Set<SecretSlot>();
  for (const [index, secret] of secrets.entries()) {
    const name = secret.name ?? "";
    const slot = within(`static_resources.secrets[${index}]`, () => new FileSecret(fixedSlot(name, secret), log));
    fixed.set(name, slot);
    open.add(slot);
  }
  const discovered = new NamedResources<Secret>({
    type: resourceTypes.sds,
    compile: (message) => checkSecret(message as Secret),
    ...{ sources, clock },
  });
  return {
    open(config) {
      if (config.sds_config === undefined) return findFixed(fixed, config);
      const name = need("name", config.name || undefined);
      const counts = createSubscriptionStats(stats.scope(`sds.${name}`), { hash, now: () => clock.now() });
      const source = config.sds_config;
      const slot = new FileSecret(
        within("sds_config", () => discovered.open(name, { source, stats: counts })),
        log,
      );
      open.add(slot);
      return Object.assign(slot, {
        close() {
          open.delete(slot);
          slot.end();
        },
      });
    },
    list: () => {
      const byName = new Map<string, SecretSlot>();
      for (const slot of open) if (byName.get(slot.name)?.current === undefined) byName.set(slot.name, slot);
      return [...byName.values()];
    },
    close() {
      for (const slot of fixed.values()) slot.end();
      discovered.close();
    },
  };
}

function findFixed(
  fixed: ReadonlyMap<string, SecretSlot>,
  { name = "" }: SdsSecretConfig,
): ReturnType<SecretProvider["open"]> {
  const slot = fixed.get(name);
  if (slot === undefined) throw new ConfigError("name", `there is no static secret ${name}`);
  return {
    name,
    get current() {
      return slot.current;
    },
    ready: slot.ready,
    onChange: (run) => slot.onChange(run),
    close: () => undefined,
  };
}

function fixedSlot(name: string, secret: Secret): ResourceSlot<Secret> {
  const current = checkSecret(secret);
  return { name, current, ready: Promise.resolve(), onChange: () => () => undefined, close: () => undefined };
}

/** Throws ConfigError for a secret of no kind, and for files that cannot be read. */
function checkSecret(secret: Secret): Secret {
  const kinds = ["tls_certificate", "validation_context", "session_ticket_keys", "generic_secret"] as const;
  if (!kinds.some((kind) => secret[kind] !== undefined)) throw new ConfigError("", `is none of ${kinds.join(", ")}`);
  readFiles(secret);
  return secret;
}

/** A slot whose secret has its files read into it. */
class FileSecret implements SecretSlot {
  readonly name: string;
  readonly ready: Promise<void>;
  current: Secret | undefined;
  readonly #slot: ResourceSlot<Secret>;
  readonly #log: Log;
  readonly #listeners = new Set<() => void>();
  #stops: (() => void)[] = [];

  constructor(slot: ResourceSlot<Secret>, log: Log) {
    this.name = slot.name;
    this.ready = slot.ready;
    this.#slot = slot;
    this.#log = log;
    slot.onChange(() => this.#take());
    if (slot.current !== undefined) this.#take();
  }

  onChange(run: () => void): () => void {
    const listener = (): void => run();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  end(): void {
    this.#unwatch();
    this.#listeners.clear();
    this.#slot.close();
  }

  /** Throws what users of the secret cannot do with it: the one before it then stays. */
  #take(): void {
    const before = this.current;
    try {
      this.current = readFiles(this.#slot.current ?? {});
      for (const run of [...this.#listeners]) run();
    } catch (cause: unknown) {
      this.current = before;
      throw cause;
    }
    this.#unwatch();
    const directories = listDirectories(this.#slot.current ?? {});
    this.#stops = directories.map((path) => watchDirectory(path, this.#log, () => this.#reread()));
  }

  #reread(): void {
    const before = this.current;
    try {
      const secret = readFiles(this.#slot.current ?? {});
      if (isSame(secret, before)) return;
      this.current = secret;
      for (const run of [...this.#listeners]) run();
    } catch (cause: unknown) {
      this.current = before;
      this.#log.warn("Replaced files of a secret cannot be used; the secret stays as it was", {
        name: this.name,
        cause,
      });
    }
  }

  #unwatch(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }
}

/** The members of each kind that may be in files. */
const fileMembers = {
  tls_certificate: ["certificate_chain", "private_key", "password", "ocsp_staple", "pkcs12"],
  validation_context: ["trusted_ca", "crl"],
  generic_secret: ["secret"],
} as const;

function readFiles(secret: Secret): Secret {
  const { tls_certificate: certificate, validation_context: validation, generic_secret: generic } = secret;
  const keys = secret.session_ticket_keys;
  return {
    ...secret,
    ...(certificate && { tls_certificate: readMembers(certificate, "tls_certificate") }),
    ...(validation && { validation_context: readMembers(validation, "validation_context") }),
    ...(generic && { generic_secret: readMembers(generic, "generic_secret") }),
    ...(keys && {
      session_ticket_keys: {
        keys: (keys.keys ?? []).map((key, index) => within(`session_ticket_keys.keys[${index}]`, () => readFile(key))),
      },
    }),
  };
}

function readMembers<Message extends object>(message: Message, kind: keyof typeof fileMembers): Message {
  const read: Record<string, unknown> = Object.fromEntries(Object.entries(message));
  for (const name of fileMembers[kind]) {
    const member = read[name];
    if (member !== undefined) read[name] = within(`${kind}.${name}`, () => readFile(member as DataSource));
  }
  return read as Message;
}

function readFile(source: DataSource): DataSource {
  if (source.filename === undefined) return source;
  try {
    return { inline_bytes: readFileSync(source.filename) };
  } catch (cause: unknown) {
    throw new ConfigError("filename", cause instanceof Error ? cause.message : String(cause));
  }
}

/** Directories in which files of the secret are replaced: as it says, or where they are. */
function listDirectories(secret: Secret): readonly string[] {
  const found = new Set<string>();
  for (const kind of ["tls_certificate", "validation_context"] as const) {
    const message = secret[kind];
    if (message === undefined) continue;
    const stated = message.watched_directory?.path;
    const members: Readonly<Record<string, unknown>> = { ...message };
    for (const name of fileMembers[kind]) {
      const { filename } = (members[name] ?? {}) as DataSource;
      if (filename !== undefined) found.add(stated || dirname(filename));
    }
  }
  return [...found];
}

function isSame(left: Secret, right: Secret | undefined): boolean {
  if (right === undefined) return false;
  return fingerprint(left) === fingerprint(right);
}

/** Of what files may bring: short-lived, never logged. */
function fingerprint(secret: Secret): string {
  return JSON.stringify(secret, (_key, member: unknown) =>
    member instanceof Uint8Array ? Buffer.from(member).toString("base64") : member,
  );
}
