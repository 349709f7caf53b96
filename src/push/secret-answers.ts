/**
 * Secrets for one proxy (SDS). Everything here is that proxy's own: what it is given is decided by its verified identity
 * at every look, and no result is shared with another proxy, however alike they are (CVE-2021-34824 was such a cache).
 */
import type { Clock } from "../lib/clock.ts";
import { CredentialGrant, type CredentialReference, parseCredentialReference } from "../model/credential-grant.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import type { VerifiedIdentity } from "../model/verified-identity.ts";
import type { CredentialVault, Opened } from "../snapshot/credential-table.ts";
import type { ScopeView } from "../translate/scope.ts";
import { buildSecret, type PrivateKeyProvider, redactSecret } from "../translate/security/build-secret.ts";
import { findPrivateKeyProvider } from "../translate/security/private-key-provider.ts";
import { listVerifiedReferences } from "../translate/security/verified-references.ts";
import { type EncodedResource, encodePrivately } from "./encode.ts";
import { internNames } from "./name-set.ts";
import { buildPart, buildSet, emptySet } from "./resource-set.ts";
import { resourceTypeOf } from "./resource-types.ts";
import type { Resolution, Wanted } from "./scope-cache.ts";

/** Says whether accounts may read the Secrets of their namespace. */
export interface SecretAccess {
  /** `onChange` is called after each answer that differs from the last one. */
  watch(identity: VerifiedIdentity, onChange: () => void): SecretAccessWatch;
}

export interface SecretAccessWatch {
  /** Undefined as long as there is no answer. */
  mayRead(): boolean | undefined;
  close(): void;
}

/** Nobody may. */
export const noSecretAccess: SecretAccess = {
  watch: () => ({ mayRead: () => false, close: () => undefined }),
};

/** Everybody with an identity may: where there is nobody to ask, the namespace alone decides. */
export const identitySecretAccess: SecretAccess = {
  watch: () => ({ mayRead: () => true, close: () => undefined }),
};

/** Told once of each secret that is not, or should not be, given, and why; never what is in it. */
export type ReportSecret = (problem: { readonly name: string; readonly reason: string }) => void;

export interface SecretAnswersOptions {
  readonly proxy: MeshProxy;
  readonly identity: VerifiedIdentity | undefined;
  readonly access: SecretAccess;
  readonly clock: Clock;
  readonly onChange: () => void;
  readonly report: ReportSecret;
}

interface Kept {
  /** By identity: the same object until the Secret changes. */
  readonly content: object;
  readonly provider: PrivateKeyProvider | undefined;
  readonly resource: EncodedResource;
}

/** What a set was made of: where all of it is the same, so is the set. */
interface LastAnswer {
  readonly vault: CredentialVault;
  readonly wanted: Wanted;
  readonly provider: PrivateKeyProvider | undefined;
  readonly verifiedReferences: ReadonlySet<string>;
  readonly mayRead: boolean | undefined;
  readonly resolution: Resolution;
}

const nothing: Resolution = { set: emptySet(), isComplete: true };
/** Names that one proxy may ask for; no gateway comes near. */
const maxNames = 10_000;

export class SecretAnswers {
  readonly #options: SecretAnswersOptions;
  #kept = new Map<string, Kept>();
  #reported: ReadonlyMap<string, string> = new Map();
  #last: LastAnswer | undefined;
  #watch: SecretAccessWatch | undefined;

  constructor(options: SecretAnswersOptions) {
    this.#options = options;
  }

  /** The secrets of these names that the proxy may have; undefined as long as it is being asked whether it may. */
  resolve(view: ScopeView, wanted: Wanted): Resolution | undefined {
    const { identity } = this.#options;
    // There is no such thing as all secrets.
    const names = (wanted ?? internNames([])).names;
    if (names.size === 0) return nothing;
    if (identity === undefined) {
      this.#reportNew(new Map([["", "the proxy is not authenticated; secrets are served over TLS (15012) only"]]));
      return nothing;
    }
    const references = [...names].slice(0, maxNames).map((name) => {
      const reference = parseCredentialReference(name, identity.namespace);
      return { name, reference };
    });
    const mayRead = references.some(({ reference }) => needsAccess(reference, identity))
      ? this.#mayRead(identity)
      : false;
    if (mayRead === undefined) return undefined;
    const { credentials: vault } = view.snapshot;
    const provider = findPrivateKeyProvider(view.snapshot.mesh, this.#options.proxy);
    const verifiedReferences = listVerifiedReferences(view.gateways, identity.namespace);
    const basis = { vault, wanted, provider, verifiedReferences, mayRead };
    if (this.#last !== undefined && isSame(this.#last, basis)) return this.#last.resolution;
    const resolution = this.#decide(references, { ...basis, identity });
    this.#last = { ...basis, resolution };
    return resolution;
  }

  close(): void {
    this.#watch?.close();
    this.#kept.clear();
    this.#last = undefined;
  }

  #mayRead(identity: VerifiedIdentity): boolean | undefined {
    this.#watch ??= this.#options.access.watch(identity, this.#options.onChange);
    return this.#watch.mayRead();
  }

  #decide(
    references: readonly { readonly name: string; readonly reference: CredentialReference | string }[],
    {
      vault,
      provider,
      verifiedReferences,
      mayRead,
      identity,
    }: Omit<LastAnswer, "resolution"> & { identity: VerifiedIdentity },
  ): Resolution {
    const problems = new Map<string, string>();
    const kept = new Map<string, Kept>();
    for (const { name, reference } of references) {
      const grant =
        typeof reference === "string"
          ? reference
          : CredentialGrant.decide({ identity, reference, mayReadSecrets: mayRead === true, verifiedReferences });
      const opened: Opened = typeof grant === "string" ? { kind: "nothing", reason: grant } : vault.open(grant);
      if (opened.kind === "nothing") {
        problems.set(name, opened.reason);
        continue;
      }
      const { notBeforeMs, notAfterMs } = opened.content.validity;
      const now = this.#options.clock.now();
      if (now > notAfterMs || now < notBeforeMs) problems.set(name, "its certificate has expired, or is not valid yet");
      kept.set(name, this.#encode(name, opened, provider));
    }
    this.#kept = kept;
    this.#reportNew(problems);
    const set = buildSet([buildPart([...kept.values()].map(({ resource }) => resource))]);
    const last = this.#last?.resolution.set;
    return { set: last?.version === set.version ? last : set, isComplete: true };
  }

  #encode(
    name: string,
    opened: Exclude<Opened, { readonly kind: "nothing" }>,
    provider: PrivateKeyProvider | undefined,
  ): Kept {
    const known = this.#kept.get(name);
    if (known?.content === opened.content && known.provider === provider) return known;
    const message = buildSecret(name, opened, provider);
    const resource = encodePrivately(resourceTypeOf("sds"), { name, message, sources: [] }, redactSecret(message));
    return { content: opened.content, provider, resource };
  }

  /** Each problem once, as long as it is the same one. */
  #reportNew(problems: ReadonlyMap<string, string>): void {
    const before = this.#reported;
    this.#reported = problems;
    for (const [name, reason] of problems) if (before.get(name) !== reason) this.#options.report({ name, reason });
  }
}

function needsAccess(reference: CredentialReference | string, identity: VerifiedIdentity): boolean {
  if (typeof reference === "string") return false;
  return reference.kind === "secret" && !reference.isRoots && reference.namespace === identity.namespace;
}

function isSame(last: LastAnswer, now: Omit<LastAnswer, "resolution">): boolean {
  return (
    last.vault === now.vault &&
    last.wanted === now.wanted &&
    last.provider === now.provider &&
    last.verifiedReferences === now.verifiedReferences &&
    last.mayRead === now.mayRead
  );
}
