/**
 * Where the authority of the mesh is kept, so that all replicas have one root: Istio's Secrets in the namespace of the
 * control plane (security/pkg/pki/ca), so that a mesh of Istio's keeps its root.
 */
import { Buffer } from "node:buffer";
import { KubeApiError, type KubeClient, KubeConnectionError } from "../kube/kube-client.ts";
import { CertificateError } from "../lib/certificate.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { pause } from "../lib/pause.ts";
import { type Authority, createRootAuthority, parseAuthority } from "./authority.ts";

export interface AuthorityStore {
  /**
   * The authority that is stored; makes one where there is none. Waits, with a pause that grows, while the API server is
   * not reached or not able to answer. Rejects with AuthorityStoreError where what is stored cannot be used: nothing is
   * ever written over.
   */
  load(signal?: AbortSignal): Promise<Authority>;
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
}

/** Plugged in by the operator; has precedence. */
const pluggedInSecret = "cacerts";
/** Made by the first replica that starts. */
const selfSignedSecret = "istio-ca-secret";
const tenYearsMs = 3650 * 24 * 3_600_000;
const [firstPauseMs, longestPauseMs] = [500, 15_000];

/** A store in Secrets of a cluster. */
export function createAuthorityStore(options: AuthorityStoreOptions): AuthorityStore {
  const log = options.log.child({ component: "ca" });
  return {
    async load(signal) {
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
        try {
          return await loadOnce(options, log, signal);
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

async function loadOnce(options: AuthorityStoreOptions, log: Log, signal: AbortSignal | undefined): Promise<Authority> {
  const pluggedIn = await readSecret(options, pluggedInSecret, signal);
  if (pluggedIn !== undefined) {
    const authority = parseSecret(pluggedIn, options, pluggedInSecret);
    log.info("certificate authority of the operator", { secret: pluggedInSecret });
    return authority;
  }
  const stored = await readSecret(options, selfSignedSecret, signal);
  if (stored !== undefined) {
    const authority = parseSecret(stored, options, selfSignedSecret);
    log.info("certificate authority of this mesh", { secret: selfSignedSecret });
    return authority;
  }
  const made = await createRootAuthority({
    organization: options.organization,
    lifetimeMs: options.rootLifetimeMs ?? tenYearsMs,
    nowMs: options.clock.now(),
  });
  if (await createSecret(options, made, signal)) {
    log.info("made a certificate authority for this mesh", { secret: selfSignedSecret });
    return made;
  }
  // Another replica was faster: its root is the one. Where it is gone again already, the caller's next round makes one.
  const others = await readSecret(options, selfSignedSecret, signal);
  if (others === undefined) throw new KubeConnectionError(`Secret ${selfSignedSecret} came and went`);
  return parseSecret(others, options, selfSignedSecret);
}

type SecretData = ReadonlyMap<string, string>;

/** The Secret's texts by key; undefined where there is no such Secret. */
async function readSecret(
  { client, namespace }: AuthorityStoreOptions,
  name: string,
  signal: AbortSignal | undefined,
): Promise<SecretData | undefined> {
  const path = `/api/v1/namespaces/${namespace}/secrets/${name}`;
  try {
    const secret = await client.request({ path, ...(signal === undefined ? {} : { signal }) });
    return decodeData(secret);
  } catch (cause: unknown) {
    if (cause instanceof KubeApiError && cause.status === 404) return undefined;
    throw describeRefusal(cause, `Secret ${namespace}/${name} cannot be read`);
  }
}

/** False where there is one already. */
async function createSecret(
  { client, namespace }: AuthorityStoreOptions,
  authority: Authority,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const encode = (text: string): string => Buffer.from(text).toString("base64");
  const body = {
    apiVersion: "v1",
    kind: "Secret",
    type: "istio.io/ca-root",
    metadata: { name: selfSignedSecret, namespace },
    data: {
      "ca-cert.pem": encode(authority.certificate),
      "ca-key.pem": encode(authority.privateKey.reveal()),
      "root-cert.pem": encode(authority.roots),
    },
  };
  try {
    const path = `/api/v1/namespaces/${namespace}/secrets`;
    await client.request({ method: "POST", path, body, ...(signal === undefined ? {} : { signal }) });
    return true;
  } catch (cause: unknown) {
    if (cause instanceof KubeApiError && cause.status === 409) return false;
    throw describeRefusal(cause, `Secret ${namespace}/${selfSignedSecret} cannot be made`);
  }
}

function parseSecret(data: SecretData, { clock, namespace }: AuthorityStoreOptions, name: string): Authority {
  const text = (key: string): string => data.get(key) ?? "";
  const needed =
    name === pluggedInSecret ? ["ca-cert.pem", "ca-key.pem", "root-cert.pem"] : ["ca-cert.pem", "ca-key.pem"];
  const missing = needed.filter((key) => text(key).trim() === "");
  const where = `Secret ${namespace}/${name}`;
  const advice =
    name === pluggedInSecret
      ? "it is left as it is: put a valid authority into it, or delete it"
      : "it is left as it is: put a valid authority into it, or delete it, so that a new one is made";
  if (missing.length > 0) throw new AuthorityStoreError(`${where} lacks ${missing.join(", ")}; ${advice}`);
  try {
    const texts = { certificate: text("ca-cert.pem"), privateKey: text("ca-key.pem") };
    return parseAuthority({ ...texts, chain: text("cert-chain.pem"), roots: text("root-cert.pem") }, clock.now());
  } catch (cause: unknown) {
    if (!(cause instanceof CertificateError)) throw cause;
    throw new AuthorityStoreError(`${where} cannot be used: ${cause.message}; ${advice}`, { cause });
  }
}

function decodeData(secret: unknown): SecretData {
  const data = typeof secret === "object" && secret !== null && "data" in secret ? secret.data : undefined;
  const entries = typeof data === "object" && data !== null ? Object.entries(data) : [];
  const texts = entries.filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return new Map(texts.map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]));
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
