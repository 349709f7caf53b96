/**
 * Where the authority of the mesh is kept, so that all replicas have one root: Istio's Secrets in the namespace of the
 * control plane (security/pkg/pki/ca), so that a mesh of Istio's keeps its root.
 */
import { KubeApiError, type KubeClient, KubeConnectionError } from "../kube/kube-client.ts";
import { CertificateError } from "../lib/certificate.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/pause.ts";
import { type Authority, createRootAuthority } from "./authority.ts";
import { readAuthorityTexts } from "./authority-texts.ts";
import { createSecret, readSecret, type SecretPlace, type StoredSecret } from "./ca-secret.ts";
import { deriveSelfSignedAuthority, formatSelfSignedRoots, parseSelfSignedRoots } from "./self-signed-roots.ts";

export interface AuthorityStore {
  /**
   * The authority that is stored; makes one where there is none. Waits, with a pause that grows, while the API server is
   * not reached or not able to answer. Rejects with AuthorityStoreError where what is stored cannot be used: nothing is
   * ever written over.
   */
  load(signal?: AbortSignal): Promise<Authority>;
  /** Calls `run` when what is stored may have changed; the answer ends that. Absent where only looking tells. */
  watch?(run: () => void): () => void;
}

/** What is stored cannot be used, or may not be read or written; a person has to look. */
export class AuthorityStoreError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AuthorityStoreError";
  }
}

export interface AuthorityStoreOptions {
  readonly client: KubeClient;
  /** Namespace of the control plane. */
  readonly namespace: string;
  /** Trust domain, for the root's subject. */
  readonly organization: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Life of a root that is made; ten years where not given, as Istio's (CITADEL_SELF_SIGNED_CA_CERT_TTL). */
  readonly rootLifetimeMs?: number;
  /** Bits of the RSA key of a root that is made; an ECDSA P-256 key where not given. */
  readonly rsaBits?: number;
  /** A root is made in the Secret "cacerts" (USE_CACERTS_FOR_SELF_SIGNED_CA); false where not given. */
  readonly usesCacerts?: boolean;
}

/** Plugged in by the operator; has precedence. */
const pluggedInSecret = "cacerts";
/** Made by the first replica that starts. */
const selfSignedSecret = "istio-ca-secret";
/** Marks a Secret "cacerts" that nobody plugged in. */
const generatedKey = "istio-generated";
const secretType = "istio.io/ca-root";
const tenYearsMs = 3650 * 24 * 3_600_000;
const [firstPauseMs, longestPauseMs] = [500, 15_000];

/** A store in Secrets of a cluster. */
export function createAuthorityStore(options: AuthorityStoreOptions): AuthorityStore {
  const log = options.log.child({ component: "ca" });
  let lastTold = "";
  // It is looked at every few seconds: what was found is said when it is another than before.
  const tell = (text: string, secret: string): void => {
    if (lastTold !== `${text} ${secret}`) log.info(text, { secret });
    lastTold = `${text} ${secret}`;
  };
  return {
    async load(signal) {
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
        try {
          return await loadOnce(options, tell, signal);
        } catch (cause: unknown) {
          signal?.throwIfAborted();
          if (!isPassing(cause)) throw cause;
          log.warn("the certificate authority cannot be loaded yet", { error: cause, retryMs: pauseMs });
          await pause(options.clock, pauseMs, signal);
          signal?.throwIfAborted();
        }
      }
    },
  };
}

type Tell = (text: string, secret: string) => void;

async function loadOnce(options: AuthorityStoreOptions, tell: Tell, signal?: AbortSignal): Promise<Authority> {
  const found = await findAuthoritySecret(options, signal);
  const { place, secret, kind } = found;
  if (secret === undefined) {
    const made = await makeRoot(options, place, signal);
    if (made !== undefined) {
      tell("made a certificate authority for this mesh", place.name);
      return made;
    }
    // Another replica was faster: its root is the one. Where it is gone again already, the caller's next round makes one.
    const others = await readOrRefuse(place, signal);
    if (others === undefined) throw new KubeConnectionError(`Secret ${place.name} came and went`);
    return parse(others, { ...found, nowMs: options.clock.now() });
  }
  const authority = parse(secret, { ...found, nowMs: options.clock.now() });
  tell(
    kind === "plugged-in" ? "certificate authority of the operator" : "certificate authority of this mesh",
    place.name,
  );
  return authority;
}

/** The Secret that counts: where none is there yet, the one to be made. */
export interface AuthoritySecret {
  readonly kind: "plugged-in" | "self-signed";
  readonly place: SecretPlace;
  readonly secret: StoredSecret | undefined;
}

/**
 * Which Secret holds the authority, in istiod's order: what operators plugged in, a root of the mesh in its own Secret,
 * one in "cacerts" where that was asked for. Rejects with AuthorityStoreError where one of them may not be read.
 */
export async function findAuthoritySecret(
  { client, namespace, usesCacerts = false }: Pick<AuthorityStoreOptions, "client" | "namespace" | "usesCacerts">,
  signal?: AbortSignal,
): Promise<AuthoritySecret> {
  const placeOf = (name: string): SecretPlace => ({ client, namespace, name });
  const cacerts = await readOrRefuse(placeOf(pluggedInSecret), signal);
  const isGenerated = usesCacerts && cacerts?.texts.has(generatedKey) === true;
  if (cacerts !== undefined && !isGenerated)
    return { kind: "plugged-in", place: placeOf(pluggedInSecret), secret: cacerts };
  const own = await readOrRefuse(placeOf(selfSignedSecret), signal);
  if (own !== undefined || !usesCacerts) return { kind: "self-signed", place: placeOf(selfSignedSecret), secret: own };
  return { kind: "self-signed", place: placeOf(pluggedInSecret), secret: cacerts };
}

/** Whether a root that the mesh makes in this Secret needs the mark that nobody plugged it in. */
export const isGeneratedIn = ({ name }: SecretPlace): boolean => name === pluggedInSecret;

/** Undefined where another was faster. */
async function makeRoot(
  options: AuthorityStoreOptions,
  place: SecretPlace,
  signal: AbortSignal | undefined,
): Promise<Authority | undefined> {
  const { organization, rootLifetimeMs: lifetimeMs = tenYearsMs, rsaBits, clock } = options;
  const nowMs = clock.now();
  const made = await createRootAuthority({
    ...{ organization, lifetimeMs, nowMs },
    ...(rsaBits === undefined ? {} : { rsaBits }),
  });
  const texts = formatSelfSignedRoots({ signing: made, retired: [], more: "" }, isGeneratedIn(place));
  try {
    return (await createSecret(place, { type: secretType, texts }, signal)) ? made : undefined;
  } catch (cause: unknown) {
    throw describeRefusal(cause, `Secret ${place.namespace}/${place.name} cannot be made`);
  }
}

async function readOrRefuse(place: SecretPlace, signal?: AbortSignal): Promise<StoredSecret | undefined> {
  try {
    return await readSecret(place, signal);
  } catch (cause: unknown) {
    throw describeRefusal(cause, `Secret ${place.namespace}/${place.name} cannot be read`);
  }
}

function parse(
  { texts }: StoredSecret,
  { kind, place, nowMs }: Pick<AuthoritySecret, "kind" | "place"> & { readonly nowMs: number },
): Authority {
  try {
    if (kind === "self-signed") return deriveSelfSignedAuthority(parseSelfSignedRoots(texts), nowMs);
    const authority = readAuthorityTexts(texts, nowMs);
    if (authority === undefined) throw new CertificateError("it holds nothing of an authority");
    return authority;
  } catch (cause: unknown) {
    if (!(cause instanceof CertificateError)) throw cause;
    const advice = kind === "self-signed" ? ", so that a new one is made" : "";
    throw new AuthorityStoreError(
      `Secret ${place.namespace}/${place.name} cannot be used: ${cause.message}; it is left as it is: put a valid authority into it, or delete it${advice}`,
      { cause },
    );
  }
}

/** Refusals that stay as they are until a person acts become errors of the store; others are tried again. */
function describeRefusal(cause: unknown, text: string): unknown {
  if (!(cause instanceof KubeApiError) || isPassing(cause)) return cause;
  return new AuthorityStoreError(`${text}: ${cause.message}`, { cause });
}

/** True for what may be better in a moment: no connection, too many requests, errors of the server. */
function isPassing(cause: unknown): boolean {
  if (cause instanceof KubeConnectionError) return true;
  return cause instanceof KubeApiError && (cause.status === 429 || cause.status === 401 || cause.status >= 500);
}
