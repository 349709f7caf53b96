/** Secrets in files that somebody else renews: a foreign authority's agent, a Secret mounted into the pod. */
import type { Log } from "../../../../src/lib/log.ts";
import { Changes } from "./changes.ts";
import { type KeyPair, parseKeyPair } from "./key-pair.ts";
import type { FileSource, WorkloadSecret, WorkloadSecrets, WorkloadSecretsOptions } from "./secret-source.ts";
import { mergeRoots } from "./trust-bundle.ts";
import { type Texts, watchFiles } from "./watched-files.ts";

export type MountedOptions = Omit<WorkloadSecretsOptions, "source"> & { readonly source: FileSource };

/** Half-written and mismatched pairs are ignored: the last good one stays. */
export class MountedSecrets implements WorkloadSecrets {
  readonly #options: MountedOptions;
  readonly #log: Log;
  readonly #changes = new Changes();
  #first: Promise<void> | undefined;
  #settleFirst: () => void = () => undefined;
  #pair: KeyPair | undefined;
  #current: WorkloadSecret | undefined;
  #lastProblem = "";
  #endWatch: () => void = () => undefined;

  constructor(options: MountedOptions) {
    this.#options = options;
    this.#log = options.log.child({ component: "secrets" });
  }

  start(): Promise<void> {
    this.#first ??= new Promise((resolve) => {
      this.#settleFirst = resolve;
      const { certificateFile, keyFile, rootsFile } = this.#options.source;
      this.#endWatch = watchFiles({
        paths: [certificateFile, keyFile, rootsFile],
        debounceMs: this.#options.fileDebounceMs,
        clock: this.#options.clock,
        onTexts: (texts) => this.#take(texts),
      });
    });
    return this.#first;
  }

  current(): WorkloadSecret | undefined {
    return this.#current;
  }

  onChange(run: () => void): () => void {
    return this.#changes.add(run);
  }

  stop(): void {
    this.#endWatch();
    this.#settleFirst();
  }

  #take([chain, key, roots]: Texts): void {
    const nowMs = this.#options.clock.now();
    const problems: string[] = [];
    if (chain === undefined || key === undefined) problems.push("the certificate or key file is not there");
    else this.#takePair(chain, key, problems);
    const bundle = mergeRoots(roots === undefined ? [] : [roots], nowMs);
    if (bundle.roots === "") problems.push("the root file holds no certificate");
    this.#report(problems.join("; "));
    const kept = bundle.roots === "" ? this.#current?.roots : bundle.roots;
    if (this.#pair === undefined || kept === undefined) return;
    const { chain: own, privateKey, notAfterMs } = this.#pair;
    this.#current = { chain: own, privateKey, roots: kept, notAfterMs };
    this.#settleFirst();
    this.#changes.notify();
  }

  #takePair(chain: string, key: string, problems: string[]): void {
    try {
      this.#pair = parseKeyPair(chain, key, this.#options.clock.now());
      this.#log.info("a certificate was read from files", { serialNumber: this.#pair.serialNumber });
    } catch (cause) {
      problems.push(cause instanceof Error ? cause.message : String(cause));
    }
  }

  #report(problem: string): void {
    if (problem !== "" && problem !== this.#lastProblem)
      this.#log.warn("certificate files cannot be used; what was read before stays", { problem });
    this.#lastProblem = problem;
  }
}
