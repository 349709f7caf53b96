/** Stores of an authority for use without a cluster. */
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CertificateError } from "../lib/certificate.ts";
import type { Clock } from "../lib/clock.ts";
import { type Authority, createRootAuthority } from "./authority.ts";
import { type AuthorityStore, AuthorityStoreError } from "./authority-store.ts";
import { authorityNames, readAuthorityTexts } from "./authority-texts.ts";

export interface LocalAuthorityOptions {
  /** Trust domain, for the root's subject. */
  readonly organization: string;
  readonly clock: Clock;
  /** Life of a root that is made. */
  readonly rootLifetimeMs: number;
  /** Bits of its RSA key; an ECDSA P-256 key where not given. */
  readonly rsaBits?: number;
}

/** A store that forgets its authority with the process. */
export function createMemoryAuthorityStore(options: LocalAuthorityOptions): AuthorityStore {
  let made: Promise<Authority> | undefined;
  return {
    load() {
      made ??= makeRoot(options);
      return made;
    },
  };
}

const makeRoot = ({ organization, rootLifetimeMs, rsaBits, clock }: LocalAuthorityOptions): Promise<Authority> =>
  createRootAuthority({
    ...{ organization, lifetimeMs: rootLifetimeMs, nowMs: clock.now() },
    ...(rsaBits === undefined ? {} : { rsaBits }),
  });

/**
 * A store in a directory of its own, with the file names of Istio's Secret: ca-cert.pem, ca-key.pem (readable by its owner
 * alone), and optionally cert-chain.pem and root-cert.pem. The directory appears whole or not at all, so that two
 * processes that start at once have one root.
 */
export function createFileAuthorityStore(directory: string, options: LocalAuthorityOptions): AuthorityStore {
  return {
    async load() {
      const found = await readAuthority(directory, options.clock.now());
      if (found !== undefined) return found;
      const made = await makeRoot(options);
      if (await writeAuthority(directory, made)) return made;
      const others = await readAuthority(directory, options.clock.now());
      if (others === undefined) throw new AuthorityStoreError(`${directory} holds other files and no CA certificate`);
      return others;
    },
  };
}

/**
 * The authority in a directory, by the names of Istio's Secret or those of a Secret of type kubernetes.io/tls; undefined
 * where nothing of one is there. Rejects with AuthorityStoreError where it is incomplete, with the names that are missing,
 * or cannot be used.
 */
export async function readAuthority(directory: string, nowMs: number): Promise<Authority | undefined> {
  const found = await Promise.all(
    authorityNames.map(async (name) => [name, await readText(join(directory, name))] as const),
  );
  const texts = new Map(found.flatMap(([name, text]) => (text === undefined ? [] : [[name, text] as const])));
  try {
    return readAuthorityTexts(texts, nowMs);
  } catch (cause: unknown) {
    if (!(cause instanceof CertificateError)) throw cause;
    throw new AuthorityStoreError(`${directory} cannot be used: ${cause.message}; it is left as it is`, { cause });
  }
}

/** True where a mounted Secret "cacerts" holds a root that the mesh made for itself. */
export async function holdsGeneratedAuthority(directory: string): Promise<boolean> {
  return (await readText(join(directory, "istio-generated"))) !== undefined;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause: unknown) {
    if (hasCode(cause, "ENOENT") || hasCode(cause, "ENOTDIR")) return undefined;
    throw cause;
  }
}

/** False where another process was faster. */
async function writeAuthority(directory: string, authority: Authority): Promise<boolean> {
  await mkdir(dirname(directory), { recursive: true });
  const draft = await mkdtemp(`${directory}.new-`);
  try {
    await chmod(draft, 0o700);
    await writeFile(join(draft, "ca-cert.pem"), authority.certificate, { mode: 0o644 });
    await writeFile(join(draft, "root-cert.pem"), authority.roots, { mode: 0o644 });
    await writeFile(join(draft, "ca-key.pem"), authority.privateKey.reveal(), { mode: 0o600 });
    // Takes the place of an empty directory, and fails where there is anything in it.
    await rename(draft, directory);
    return true;
  } catch (cause: unknown) {
    if (hasCode(cause, "ENOTEMPTY") || hasCode(cause, "EEXIST")) return false;
    throw cause;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

const hasCode = (cause: unknown, code: string): boolean =>
  cause instanceof Error && "code" in cause && cause.code === code;
