/**
 * The credentials of the mesh: what Secrets and ConfigMaps hold for TLS. Keys are in here and nowhere else of a snapshot:
 * a snapshot gives no Secret away, and a vault opens for grants alone, which only a verified identity can be given
 * (src/model/credential-grant.ts). A Secret that turns bad is reported and keeps its last good form.
 */

import { inspect } from "node:util";
import type { MeshObject } from "../api/kinds.ts";
import { refOf } from "../api/object.ts";
import type { Message } from "../lib/message.ts";
import type { CredentialGrant, CredentialReference } from "../model/credential-grant.ts";
import {
  type Credential,
  type KeyPair,
  type Part,
  readConfigMapCredential,
  readSecretCredential,
  type TrustedRoots,
} from "../registry/credentials.ts";
import { nameKey, type ObjectDelta } from "./object-store.ts";

/** What a vault gives for a grant. The content is the same object until the Secret changes. */
export type Opened =
  | { readonly kind: "pair"; readonly content: KeyPair }
  | { readonly kind: "roots"; readonly content: TrustedRoots }
  | { readonly kind: "nothing"; readonly reason: string };

export interface CredentialVault {
  open(grant: CredentialGrant): Opened;
  /** Why a credential cannot be given to anybody; undefined where it can. For messages: tells nothing of its content. */
  findFault(reference: CredentialReference): string | undefined;
}

interface Entry {
  readonly credential: Credential;
  readonly messages: readonly Message[];
}

type Entries = ReadonlyMap<string, Entry>;

/** Keeps credentials up to date. Lives as long as its builder. */
export class CredentialTable {
  #secrets: Entries = new Map();
  #configMaps: Entries = new Map();
  #vault: CredentialVault = new Vault(new Map(), new Map());
  #messages: readonly Message[] = [];

  /** The same object until a credential changes. */
  get vault(): CredentialVault {
    return this.#vault;
  }

  get messages(): readonly Message[] {
    return this.#messages;
  }

  update(deltas: readonly ObjectDelta[]): void {
    const secrets = updateEntries(this.#secrets, deltas, "Secret");
    const configMaps = updateEntries(this.#configMaps, deltas, "ConfigMap");
    if (secrets === this.#secrets && configMaps === this.#configMaps) return;
    this.#secrets = secrets;
    this.#configMaps = configMaps;
    this.#vault = new Vault(secrets, configMaps);
    this.#messages = [...secrets.values(), ...configMaps.values()].flatMap(({ messages }) => messages);
  }
}

function updateEntries(before: Entries, deltas: readonly ObjectDelta[], kind: "Secret" | "ConfigMap"): Entries {
  const own = deltas.filter(({ ref }) => ref.kind === kind);
  if (own.length === 0) return before;
  const after = new Map(before);
  for (const { ref, after: object } of own) {
    const key = nameKey(ref.namespace, ref.name);
    const entry = object === undefined ? undefined : readEntry(object, before.get(key));
    if (entry === undefined) after.delete(key);
    else after.set(key, entry);
  }
  return after;
}

/** Undefined for objects that hold nothing for TLS: most do not. */
function readEntry(object: MeshObject, before: Entry | undefined): Entry | undefined {
  const read = readCredential(object);
  if (read === undefined || (read.pair.kind === "absent" && read.roots.kind === "absent")) return undefined;
  return {
    credential: {
      pair: keepLastGood(before?.credential.pair, read.pair),
      roots: keepLastGood(before?.credential.roots, read.roots),
    },
    messages: [read.pair, read.roots].flatMap((part) => (part.kind === "broken" ? [describeBroken(object, part)] : [])),
  };
}

function readCredential(object: MeshObject): Credential | undefined {
  if (object.kind === "Secret") return readSecretCredential(object);
  return object.kind === "ConfigMap" ? readConfigMapCredential(object) : undefined;
}

function keepLastGood<Content>(before: Part<Content> | undefined, after: Part<Content>): Part<Content> {
  return after.kind === "broken" && before?.kind === "good" ? before : after;
}

function describeBroken(object: MeshObject, part: Extract<Part<unknown>, { readonly kind: "broken" }>): Message {
  const path = part.key === "" ? "data" : `data["${part.key}"]`;
  const position = object.position === undefined ? {} : { position: object.position };
  return { level: "error", code: "broken-credential", object: refOf(object), path, text: part.reason, ...position };
}

class Vault implements CredentialVault {
  readonly #secrets: Entries;
  readonly #configMaps: Entries;

  constructor(secrets: Entries, configMaps: Entries) {
    this.#secrets = secrets;
    this.#configMaps = configMaps;
  }

  open({ reference }: CredentialGrant): Opened {
    return this.#find(reference);
  }

  findFault(reference: CredentialReference): string | undefined {
    const found = this.#find(reference);
    return found.kind === "nothing" ? found.reason : undefined;
  }

  /** What a debugger or a log shows of it. */
  [inspect.custom](): string {
    return "[redacted]";
  }

  #find({ kind, namespace, name, plainName, isRoots }: CredentialReference): Opened {
    if (kind === "configMap") return openRoots(this.#configMaps.get(nameKey(namespace, plainName)), "ConfigMap");
    const named = this.#secrets.get(nameKey(namespace, name));
    if (!isRoots) return openPair(named);
    // A Secret of its own for the roots comes before the one that holds the certificate, too.
    return openRoots(named ?? this.#secrets.get(nameKey(namespace, plainName)), "Secret");
  }
}

function openPair(entry: Entry | undefined): Opened {
  const pair = entry?.credential.pair ?? { kind: "absent" };
  if (pair.kind === "good") return { kind: "pair", content: pair.content };
  if (pair.kind === "broken")
    return { kind: "nothing", reason: `its Secret cannot be used: ${pair.key} ${pair.reason}` };
  return { kind: "nothing", reason: "there is no Secret of that name with a certificate and key" };
}

function openRoots(entry: Entry | undefined, kind: string): Opened {
  const roots = entry?.credential.roots ?? { kind: "absent" };
  if (roots.kind === "good") return { kind: "roots", content: roots.content };
  if (roots.kind === "broken")
    return { kind: "nothing", reason: `its ${kind} cannot be used: ${roots.key} ${roots.reason}` };
  return { kind: "nothing", reason: `there is no ${kind} of that name with certificates of an authority` };
}
