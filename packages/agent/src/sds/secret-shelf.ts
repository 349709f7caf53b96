/** Secrets by the names that streams ask for; what stands in files is watched for as long as somebody asks for it. */
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import { parseKeyPair } from "../identity/key-pair.ts";
import type { WorkloadSecrets } from "../identity/secret-source.ts";
import { mergeRoots } from "../identity/trust-bundle.ts";
import { readText, type Texts, watchFiles } from "../identity/watched-files.ts";
import { buildPair, buildRoots, type EncodedSecret, type PrivateKeyProvider } from "./build-secret.ts";
import { parseSecretName, type SecretName } from "./secret-name.ts";

export interface SecretShelfOptions {
  readonly secrets: WorkloadSecrets | undefined;
  readonly privateKeyProvider?: PrivateKeyProvider;
  readonly revocationsFile?: string;
  readonly systemRootsFile?: string;
  readonly fileDebounceMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

interface Entry {
  holders: number;
  secret: EncodedSecret | undefined;
  readonly end: () => void;
}

/** Where the distributions of Linux keep their roots. */
const systemRoots: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/ssl/cert.pem",
  "/usr/local/etc/ssl/cert.pem",
];

export class SecretShelf {
  readonly #options: SecretShelfOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(name: string) => void>();

  constructor(options: SecretShelfOptions) {
    this.#options = options;
  }

  /** Undefined as long as there is nothing that could be served. Only names that are held are known. */
  find(name: string): EncodedSecret | undefined {
    return this.#entries.get(name)?.secret;
  }

  /** Calls `run` with the name of each secret that changed; the answer ends that. */
  onChange(run: (name: string) => void): () => void {
    this.#listeners.add(run);
    return () => void this.#listeners.delete(run);
  }

  /** Somebody wants this secret from now on. */
  hold(name: string): void {
    const known = this.#entries.get(name);
    if (known !== undefined) {
      known.holders += 1;
      return;
    }
    const parsed = parseSecretName(name);
    if (parsed === undefined)
      this.#options.log.warn("a secret was asked for by a name that nothing answers to", { name });
    let end: () => void = () => undefined;
    const entry: Entry = { holders: 1, secret: undefined, end: () => end() };
    this.#entries.set(name, entry);
    if (parsed !== undefined) end = this.#follow(name, parsed);
  }

  release(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.holders -= 1;
    if (entry.holders > 0) return;
    entry.end();
    this.#entries.delete(name);
  }

  stop(): void {
    for (const { end } of this.#entries.values()) end();
    this.#entries.clear();
    this.#listeners.clear();
  }

  #follow(name: string, parsed: SecretName): () => void {
    switch (parsed.kind) {
      case "workload":
        return this.#followWorkload(name);
      case "roots":
        return this.#followRoots(name);
      case "file-pair":
        return this.#followFiles(name, [parsed.certificateFile, parsed.keyFile], ([chain, key]) =>
          chain === undefined || key === undefined
            ? undefined
            : buildPair(name, parseKeyPair(chain, key, this.#options.clock.now()), this.#options.privateKeyProvider),
        );
      case "file-roots":
        return this.#followRootsFile(name, parsed.rootsFile);
      case "system-roots":
        return this.#followSystemRoots(name);
    }
  }

  #followWorkload(name: string): () => void {
    const { secrets, privateKeyProvider } = this.#options;
    const read = (): void => {
      const current = secrets?.current();
      if (current !== undefined) this.#put(name, buildPair(name, current, privateKeyProvider));
    };
    read();
    return secrets?.onChange(read) ?? (() => undefined);
  }

  #followRoots(name: string): () => void {
    const { secrets, revocationsFile } = this.#options;
    let revocations = "";
    const read = (): void => {
      const current = secrets?.current();
      if (current !== undefined) this.#put(name, buildRoots(name, current.roots, revocations));
    };
    const ends = [secrets?.onChange(read)];
    if (revocationsFile === undefined) read();
    else
      ends.push(
        this.#watch([revocationsFile], ([text]) => {
          revocations = text?.includes("-----BEGIN X509 CRL-----") === true ? text : "";
          read();
        }),
      );
    return () => {
      for (const end of ends) end?.();
    };
  }

  #followSystemRoots(name: string): () => void {
    const { systemRootsFile = systemRoots.find((path) => readText(path) !== undefined), log } = this.#options;
    if (systemRootsFile !== undefined) return this.#followRootsFile(name, systemRootsFile);
    log.warn("the roots of the operating system were asked for, and there are none", { name });
    return () => undefined;
  }

  #followRootsFile(name: string, path: string): () => void {
    return this.#followFiles(name, [path], ([text]) => {
      const { roots } = mergeRoots(text === undefined ? [] : [text], this.#options.clock.now());
      return roots === "" ? undefined : buildRoots(name, roots, "");
    });
  }

  /** What cannot be read or does not fit together leaves the last good secret in place. */
  #followFiles(name: string, paths: readonly string[], build: (texts: Texts) => EncodedSecret | undefined): () => void {
    return this.#watch(paths, (texts) => {
      try {
        const secret = build(texts);
        if (secret !== undefined) this.#put(name, secret);
        else this.#options.log.warn("files of a secret are not there", { name });
      } catch (error: unknown) {
        this.#options.log.warn("files of a secret cannot be used", { name, error });
      }
    });
  }

  #watch(paths: readonly string[], onTexts: (texts: Texts) => void): () => void {
    const { clock, fileDebounceMs } = this.#options;
    return watchFiles({ paths, clock, debounceMs: fileDebounceMs, onTexts });
  }

  #put(name: string, secret: EncodedSecret): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.secret?.version === secret.version) return;
    entry.secret = secret;
    for (const run of [...this.#listeners]) run(name);
  }
}
