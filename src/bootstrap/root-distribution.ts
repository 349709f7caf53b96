/** The roots of the mesh in every namespace: written by the leader, put right where somebody edits or deletes them. */
import type { ConfigMap } from "../api/kubernetes/types.ts";
import { matchesSelector } from "../api/label-selector.ts";
import type { Authority } from "../ca/authority.ts";
import type { LiveAuthority } from "../ca/live-authority.ts";
import { type DistributedText, isServedNamespace } from "../ca/root-distribution.ts";
import { createRootDistributor, type RootDistributor } from "../ca/root-distributor.ts";
import { holdsAnyRoot, listRoots } from "../ca/trust-bundle.ts";
import type { Flags } from "../config/flags.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { createKubernetesSource, type KubernetesSource } from "../sources/kubernetes/kubernetes-source.ts";
import type { Leader } from "./leader.ts";
import type { Runner } from "./runners.ts";

export interface RootDistributionOptions {
  readonly flags: Flags;
  readonly client: KubeClient;
  readonly authority: LiveAuthority;
  readonly leader: Leader;
  readonly readSnapshot: () => Snapshot;
  readonly clock: Clock;
  readonly log: Log;
}

export interface RootDistribution extends Runner {
  /** The mesh, or who leads, has changed. */
  notify(): void;
  /** Whether every namespace has this root (PEM), as far as it may be written there. */
  isDistributed(certificate: string): boolean;
}

export function createRootDistribution(options: RootDistributionOptions): RootDistribution {
  return new Distribution(options);
}

/** One leadership: what is watched, and what is written by it. */
interface Term {
  readonly source: KubernetesSource;
  readonly distributor: RootDistributor;
}

class Distribution implements RootDistribution {
  readonly name = "distribution of roots";
  readonly #options: RootDistributionOptions;
  #term: Term | undefined;
  #texts: readonly DistributedText[] = [];
  #roots = "";
  #end: () => void = () => undefined;
  #turn: Promise<void> = Promise.resolve();
  #isStopped = true;

  constructor(options: RootDistributionOptions) {
    this.#options = options;
    options.leader.onChange(() => this.#changeTerm());
  }

  async start(): Promise<void> {
    const { authority, log } = this.#options;
    this.#isStopped = false;
    this.#end = authority.onChange((next) => this.#setAuthority(next));
    // An authority that cannot be had yet is waited for by others, which say so; it comes here when it is asked for.
    authority.load().then(
      (first) => this.#setAuthority(first),
      (error: unknown) => log.debug("there is no root to distribute yet", { error }),
    );
    this.#changeTerm();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#end();
    this.#changeTerm();
    await this.#turn;
  }

  notify(): void {
    if (this.#texts.length === 0 && !this.#isStopped) {
      // Whoever waited for the authority may have it by now.
      this.#options.authority.load().then(
        (authority) => this.#setAuthority(authority),
        () => undefined,
      );
    }
    this.#term?.distributor.setWanted(this.#listNamespaces(), this.#texts);
  }

  isDistributed(certificate: string): boolean {
    const isNamed = this.#roots !== "" && holdsAnyRoot(this.#roots, listRoots(certificate));
    return isNamed && this.#term?.distributor.isSettled() === true;
  }

  #setAuthority({ roots, crl = "" }: Authority): void {
    const { rootConfigMap, crlConfigMap, caCrl } = this.#options.flags;
    const texts = [
      { name: rootConfigMap, key: "root-cert.pem", text: roots, isMade: true },
      ...(caCrl ? [{ name: crlConfigMap, key: "ca-crl.pem", text: crl, isMade: crl !== "" }] : []),
    ];
    // The same list as long as it says the same: what waits for another attempt goes on waiting.
    if (JSON.stringify(texts) === JSON.stringify(this.#texts)) return;
    this.#roots = roots;
    this.#texts = texts;
    this.#term?.distributor.setWanted(this.#listNamespaces(), texts);
  }

  /** One after the other: a leader that loses and wins again must not have two terms at work. */
  #changeTerm(): void {
    this.#turn = this.#turn.then(async () => {
      const leads = !this.#isStopped && this.#options.leader.isLeader();
      if (leads === (this.#term !== undefined)) return;
      if (leads) this.#beginTerm();
      else await this.#endTerm();
    });
  }

  #beginTerm(): void {
    const { flags, client, clock, log, leader } = this.#options;
    const distributor = createRootDistributor({ client, clock, log, isLeader: () => leader.isLeader() });
    const names = [flags.rootConfigMap, ...(flags.caCrl ? [flags.crlConfigMap] : [])];
    const source = createKubernetesSource({
      ...{ client, clock, log, random: Math.random },
      kinds: ["ConfigMap"],
      systemNamespace: flags.namespace,
      configMapNames: [],
      secretNamespaces: [],
      configMapsEverywhere: names,
    });
    this.#term = { source, distributor };
    source
      .start({
        apply({ changes }) {
          for (const change of changes) {
            const { namespace, name } = change.type === "set" ? change.object.meta : change.ref;
            const found = change.type === "set" ? readConfigMap(change.object as ConfigMap) : undefined;
            distributor.noteFound(namespace, name, found);
          }
        },
      })
      .then(
        () => {
          if (this.#term?.distributor !== distributor) return;
          distributor.setWanted(this.#listNamespaces(), this.#texts);
          distributor.start();
        },
        (error: unknown) => log.error("roots cannot be distributed", { error }),
      );
  }

  async #endTerm(): Promise<void> {
    const term = this.#term;
    this.#term = undefined;
    await term?.source.stop();
    await term?.distributor.stop();
  }

  /** Those that the discovery selectors select, but for Kubernetes' own. */
  #listNamespaces(): readonly string[] {
    const { flags, readSnapshot } = this.#options;
    const snapshot = readSnapshot();
    const selectors = snapshot.mesh.discoverySelectors ?? [];
    const isSelected = (labels: Readonly<Record<string, string>>): boolean =>
      selectors.length === 0 || selectors.some((selector) => matchesSelector(selector, labels));
    return snapshot
      .objects("Namespace")
      .filter(({ meta: { name, labels } }) => {
        const isWatched = flags.watchNamespace === "" || flags.watchNamespace === name;
        return isWatched && isServedNamespace(name) && isSelected(labels);
      })
      .map(({ meta }) => meta.name);
  }
}

const readConfigMap = ({ meta, spec }: ConfigMap) => ({ labels: meta.labels, data: spec.data });
